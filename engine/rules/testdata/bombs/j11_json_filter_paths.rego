# json.filter with 500k segment path (recursion)
package authz

allow if {
 p := concat("/",["a"|some i in numbers.range(1,500000)])
 x := json.filter({"a":1},[p,"b"])
 count(x) == 9
}
