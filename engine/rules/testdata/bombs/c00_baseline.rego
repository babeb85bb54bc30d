# control: trivial policy
package authz

default allow := false
allow if input.x == 1
