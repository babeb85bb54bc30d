# set ops
package authz

allow if { s := {i|some i in numbers.range(1,2000)}; x := intersection({{i}|some i in s} | {s}); count(x) == 9 }
