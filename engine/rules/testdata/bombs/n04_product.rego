# product of 400 numbers 1e30000
package authz

allow if product([1e30000|some i in numbers.range(1,400)]) == 0
