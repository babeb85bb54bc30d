# json.patch: 20k front inserts (edit tree quadratic)
package authz

allow if {
 x := json.patch({"a":[]}, [{"op":"add","path":"/a/0","value":i}|some i in numbers.range(1,20000)])
 count(x) == 0
}
