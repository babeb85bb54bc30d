# net.cidr_contains_matches 2000 x 2000
package authz

allow if { a := [sprintf("10.%d.%d.0/24",[i,j])|some i in numbers.range(0,9); some j in numbers.range(0,200)]; x := net.cidr_contains_matches(a,a); count(x) == 0 }
