# a context whose one value would be 2^20 values when written out
package authz

allow := true

f(x) := [y | some y in [x, x]]

context := {"a": f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f([1]))))))))))))))))))))}
