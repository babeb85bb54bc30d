# sprintf: dynamic width %*d, format built at run time (static scan of literals does not see it)
package authz

allow if {
 x := sprintf(concat("",["%[1]*[2]d"|some i in numbers.range(1,3000)]), [1000000, 7])
 count(x)==0
}
