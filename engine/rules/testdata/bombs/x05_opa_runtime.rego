# opa.runtime env disclosure
package authz

allow if { x := opa.runtime(); x.env.PATH }
