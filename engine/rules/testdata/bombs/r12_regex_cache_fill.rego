# fill process-global regexp cache
package authz

allow if { some i in numbers.range(1,10000); some j in numbers.range(1,10); not regex.match(concat("",["(a{0,1000}|b{0,1000}|",format_int(i,10),"-",format_int(j,10),"){1}x"]),"x"); i < 0 }
