# four thousand reasons, a quarter of a megabyte together
package authz

allow := true

deny contains sprintf("%s%d", [sprintf("%64d", [i]), i]) if some i in numbers.range(1, 4000)
