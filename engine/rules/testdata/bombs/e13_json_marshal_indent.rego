# json.marshal_with_options: 1 MB indent x 5000 lines = 5 GB
package authz

allow if {
 s := sprintf("%1000000d",[1])
 x := json.marshal_with_options(numbers.range(1,5000), {"indent": s, "pretty": true})
 count(x) == 0
}
