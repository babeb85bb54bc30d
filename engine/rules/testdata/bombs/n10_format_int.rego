# format_int of a million digit number
package authz

allow if { x := units.parse_bytes("1e999999"); count(format_int(x,2)) == 0 }
