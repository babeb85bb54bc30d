# a context of a thousand keys and 60 kB
package authz

allow := true

context := {sprintf("k%d", [i]): sprintf("%50d", [i]) | some i in numbers.range(1, 1000)}
