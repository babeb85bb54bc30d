# concat: sink.Grow(40 GB) in one allocation
package authz

allow if {
 s := sprintf("%1000000d",[1])
 t := concat("",[s|some i in numbers.range(1,20)])
 u := [t|some i in numbers.range(1,2000)]
 x := concat("",u)
 count(x) == 0
}
