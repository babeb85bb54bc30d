# patterns below every limit, matched 10,000 times with a text below it
package authz

allow if {
	text := concat("", [s | some i in numbers.range(1, 250); s := sprintf("%64d", [0])])
	some i in numbers.range(1, 10000)
	regex.match(sprintf("(?: ?){240}(?: ?){200}x|%d", [i]), text)
}
