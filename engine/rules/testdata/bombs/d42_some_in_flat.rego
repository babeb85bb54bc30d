# some in over 8M elements
package authz

allow if {
 a0 := numbers.range(1,500)
 a1 := array.concat(a0,a0)
 a2 := array.concat(a1,a1)
 a3 := array.concat(a2,a2)
 a4 := array.concat(a3,a3)
 a5 := array.concat(a4,a4)
 a6 := array.concat(a5,a5)
 a7 := array.concat(a6,a6)
 a8 := array.concat(a7,a7)
 a9 := array.concat(a8,a8)
 a10 := array.concat(a9,a9)
 a11 := array.concat(a10,a10)
 a12 := array.concat(a11,a11)
 a13 := array.concat(a12,a12)
 a14 := array.concat(a13,a13)
 some x in a14
 x == -1
}
