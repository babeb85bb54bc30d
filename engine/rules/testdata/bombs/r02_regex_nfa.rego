# regex NFA (a?){900}x x 1 MB text
package authz

allow if {
 s := replace(sprintf("%1000000d",[1])," ","a")
 regex.match("(a?){900}x", s)
}
