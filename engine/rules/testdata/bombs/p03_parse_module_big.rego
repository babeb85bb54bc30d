# rego.parse_module on a 2 MB module made at run time
package authz

allow if {
 s := sprintf("%1000000d",[1])
 x := rego.parse_module("a.rego", concat("",["package a\nx := [", replace(s," ","1,"),"]"]))
 count(x) == 0
}
