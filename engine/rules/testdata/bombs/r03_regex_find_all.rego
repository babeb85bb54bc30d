# regex.find_n: 20 M matches
package authz

allow if {
 s := sprintf("%1000000d",[1])
 t := concat("",[s|some i in numbers.range(1,20)])
 x := regex.find_n(" ", t, -1)
 count(x) == 0
}
