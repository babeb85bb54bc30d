# sort of big numbers (compare parses)
package authz

allow if {
 x := units.parse_bytes("1e29999")
 y := [x+i|some i in numbers.range(1,50)]
 count(sort(y)) == 0
}
