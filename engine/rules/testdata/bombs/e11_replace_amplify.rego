# replace: every space by a 1 MB string = 1 TB (sink checks cancel)
package authz

allow if {
 s := sprintf("%1000000d",[1])
 x := replace(s," ",s)
 count(x) == 0
}
