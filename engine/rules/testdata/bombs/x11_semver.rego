# semver 1M digits
package authz

allow if { s := replace(sprintf("%1000000d",[1])," ","9"); semver.compare(concat("",[s,".0.0"]), concat("",[s,".0.1"])) == 1 }
