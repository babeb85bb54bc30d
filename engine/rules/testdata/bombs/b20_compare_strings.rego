# a product of long texts, compared and counted
package authz

allow if {
	text := concat("", [s | some i in numbers.range(1, 900); s := sprintf("%64d", [0])])
	some i in numbers.range(1, 10000)
	some j in numbers.range(1, 10000)
	strings.count(text, sprintf("%64d%d", [i, j])) > 1
}
