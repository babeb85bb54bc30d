# bits.lsh(1,3e7)
package authz

allow if { x := bits.lsh(1,30000000); x == 0 }
