# METADATA
# title: Identity
# description: Who the caller is, read from input.identity.
package lib.identity

# METADATA
# title: A caller with a name
# description: |
#   True if a provider vouches for the caller and names a subject. Ask this before
#   comparing the subject with anything: an anonymous caller's subject is the empty
#   string, and so is the last segment of the path /users/ on an HTTP API.
# scope: rule
proven(identity) if {
	identity.kind in {"jwt", "opaque"}
	identity.subject != ""
}

# METADATA
# title: A claim that is a list
# description: |
#   The values of a claim as a set. Providers write one value as a string and several
#   as an array. A claim that is absent or of another type has no values.
# scope: document
values(claims, name) := {claims[name]} if is_string(claims[name])

values(claims, name) := {value | some value in claims[name]} if is_array(claims[name])

values(claims, name) := set() if not listable(claims, name)

listable(claims, name) if is_string(claims[name])

listable(claims, name) if is_array(claims[name])
