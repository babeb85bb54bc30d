# control: pure Rego nested loop (cancellable)
package authz

allow if { some i in numbers.range(1,100000); some j in numbers.range(1,100000); i*j == -1 }
