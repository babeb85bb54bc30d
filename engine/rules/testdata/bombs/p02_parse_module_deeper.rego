# rego.parse_module on 48k nested arrays
package authz

allow if {
 x := rego.parse_module("a.rego", concat("",["package a\nx := ",replace(sprintf("%48000s",[" "])," ","["),replace(sprintf("%48000s",[" "])," ","]")]))
 count(x) == 0
}
