# sort of 300 x 100 kB strings with common prefix
package authz

allow if { s := sprintf("%100000d",[1]); xs := [concat("",[s,format_int(i,10)])|some i in numbers.range(1,300)]; count(sort(xs)) == 0 }
