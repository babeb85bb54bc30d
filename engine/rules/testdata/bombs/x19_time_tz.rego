# time.clock with 1 MB tz name
package authz

allow if {
 some i in numbers.range(1, 10000)
 time.clock([1, sprintf("%1000000d", [i])]) == [1, 1, 1]
}
