# regex: 3000-state NFA, all states live, x 1 MB text
package authz

allow if {
 s := replace(sprintf("%1000000d",[1])," ","a")
 regex.match("(a{0,900}b){1}|((a{0,30}){0,30}c){1}|(a?){900}d", s)
}
