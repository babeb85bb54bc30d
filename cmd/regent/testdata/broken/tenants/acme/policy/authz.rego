package authz

allow if nothing
