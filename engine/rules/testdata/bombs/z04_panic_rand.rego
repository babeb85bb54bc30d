# PANIC: rand.intn(min int64)
package authz

allow if rand.intn("s", -9223372036854775808) == 1
