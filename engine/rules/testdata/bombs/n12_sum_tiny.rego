# sum of tiny numbers
package authz

allow if sum([1.7e-30000|some i in numbers.range(1,10000)]) == 0
