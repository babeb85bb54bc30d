# 20M digit number from string, squared
package authz

allow if { s := replace(sprintf("%1000000d",[1])," ","9"); x := json.unmarshal(concat("",[s|some i in numbers.range(1,20)])); x*x == 0 }
