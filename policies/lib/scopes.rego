# METADATA
# title: Scopes
# description: |
#   OAuth scopes of the form RESOURCE:VERB, such as orders:read. A token may also
#   carry RESOURCE:*, which covers every verb of that resource and no other resource.
package lib.scopes

# METADATA
# title: A scope is held
# description: True if the scopes held include the one needed, by name or by RESOURCE:*.
# scope: document
granted(held, needed) if needed in held

granted(held, needed) if {
	[resource, _] := split(needed, ":")
	concat("", [resource, ":*"]) in held
}
