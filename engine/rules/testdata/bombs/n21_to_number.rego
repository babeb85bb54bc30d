# to_number(20M digits)
package authz

allow if { s := replace(sprintf("%1000000d",[1])," ","9"); x := to_number(concat("",[s|some i in numbers.range(1,20)])); x > 5 }
