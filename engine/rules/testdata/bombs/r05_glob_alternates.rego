# glob.match nested alternatives
package authz

allow if {
 s := replace(sprintf("%20000d",[1])," ","a")
 glob.match("{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}{*a*,*aa*}z", [], s)
}
