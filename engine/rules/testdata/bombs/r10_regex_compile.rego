# regex compile of big unicode class repetition
package authz

allow if regex.match("(?i)((\\pL{0,100}){0,10}\\pN{0,100}){0,1}", "x")
