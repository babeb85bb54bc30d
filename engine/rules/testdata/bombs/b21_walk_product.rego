# walk over a product of comprehensions that no limit sees
package authz

wide := [[i, j] | some i in numbers.range(1, 3000); some j in numbers.range(1, 3000)]

allow if {
	some path, value
	walk(wide, [path, value])
	value == -1
}
