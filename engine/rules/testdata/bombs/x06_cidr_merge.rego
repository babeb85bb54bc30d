# net.cidr_merge quadratic slices.Delete
package authz

allow if { x := net.cidr_merge([sprintf("10.%d.%d.%d/32",[a,b,c])|some a in numbers.range(0,3); some b in numbers.range(0,60); some c in [0,2,4,6,8]]); count(x) == 0 }
