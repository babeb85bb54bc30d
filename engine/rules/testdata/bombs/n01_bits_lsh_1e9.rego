# bits.lsh(1,1e9): 125 MB integer then decimal String()
package authz

allow if bits.lsh(1,1000000000) == 0
