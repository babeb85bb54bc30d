# sort of big numbers (compare parses)
package authz

allow if {
 x := to_number("1e29999")
 y := [z | some i in numbers.range(1, 50); z := x + i]
 count(sort(y)) == 0
}
