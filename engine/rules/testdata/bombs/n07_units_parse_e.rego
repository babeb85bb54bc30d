# units.parse_bytes("1e999999")
package authz

allow if units.parse_bytes("1e999999") == 0
