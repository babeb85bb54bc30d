# x^4 with x = 1e999999
package authz

allow if { x := units.parse_bytes("1e999999"); x*x*x*x == 0 }
