# function widening x30 per call, 6 calls: one step overshoots the deadline by the widening factor
package authz

f(x) := [x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x,
 x]
a0 := 1
a1 := f(a0)
a2 := f(a1)
a3 := f(a2)
a4 := f(a3)
a5 := f(a4)
a6 := f(a5)
allow if count(a6) == 0
