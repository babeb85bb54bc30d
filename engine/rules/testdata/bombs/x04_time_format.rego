# time.format with 1 MB layout in a loop
package authz

allow if { some i in numbers.range(1,10000); time.format([1, "UTC", sprintf("%1000000d",[i])]) == "x" }
