# product of 200 tiny numbers -> exponent -6e6, decimal conversion
package authz

allow if product([1.7e-30000|some i in numbers.range(1,200)]) == 0
