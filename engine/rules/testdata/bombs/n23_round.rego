# round tiny
package authz

allow if { x := 1.7e-30000; y := round(x*x*x*x); y == 1}
