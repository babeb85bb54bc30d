package lib.scopes_test

import data.lib.scopes

test_granted[note] if {
	some note, tt in {
		"by name": ["orders:read"],
		"among others": ["catalog:read", "orders:read"],
		"by wildcard": ["orders:*"],
	}
	scopes.granted(tt, "orders:read")
}

test_not_granted[note] if {
	some note, tt in {
		"nothing held": [],
		"another verb": ["orders:write"],
		"another resource": ["users:read"],
		"another resource's wildcard": ["users:*"],
		"no wildcard for everything": ["*", "*:*", "*:read"],
		"a longer name": ["orders:read-only", "my-orders:read"],
		"case counts": ["Orders:Read"],
	}
	not scopes.granted(tt, "orders:read")
}

test_wildcard_of_a_scope_without_verb if {
	not scopes.granted(["admin:*"], "admin")
	scopes.granted(["admin"], "admin")
}
