# json.remove with 6M segment path
package authz

allow if {
 s := replace(sprintf("%1000000d",[1])," ","a/")
 t := concat("",[s,s,s,s,s,s])
 x := json.remove({"a":1},[t,"b"])
 count(x) == 9
}
