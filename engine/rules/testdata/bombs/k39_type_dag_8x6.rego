# static type DAG, 10^7 with 7 rules
package authz

a0 := 1
a1 := [a0,a0,a0,a0,a0,a0,a0,a0,a0,a0]
a2 := [a1,a1,a1,a1,a1,a1,a1,a1,a1,a1]
a3 := [a2,a2,a2,a2,a2,a2,a2,a2,a2,a2]
a4 := [a3,a3,a3,a3,a3,a3,a3,a3,a3,a3]
a5 := [a4,a4,a4,a4,a4,a4,a4,a4,a4,a4]
a6 := [a5,a5,a5,a5,a5,a5,a5,a5,a5,a5]
a7 := [a6,a6,a6,a6,a6,a6,a6,a6,a6,a6]
allow if a7[0] == 1
