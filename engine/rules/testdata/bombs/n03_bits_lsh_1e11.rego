# bits.lsh(1,1e11): 12.5 GB allocation
package authz

allow if bits.lsh(1,100000000000) == 0
