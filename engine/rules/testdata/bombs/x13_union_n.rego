# object.union_n of 200k shared 200-key objects
package authz

allow if { o := {format_int(i,10): i|some i in numbers.range(1,200)}; x := object.union_n([o|some i in numbers.range(1,200); some j in numbers.range(1,1000)]); count(x) == 9 }
