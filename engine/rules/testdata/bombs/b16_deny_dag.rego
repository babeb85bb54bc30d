# denials that are shared structures: a set hashes and compares its elements
package authz

allow := true

f(x) := [y | some y in [x, x]]

g(x) := f(f(f(f(f(f(f(f(f(f(f(f(f(x)))))))))))))

deny contains g(g([1]))

deny contains g(g([1, 2]))
