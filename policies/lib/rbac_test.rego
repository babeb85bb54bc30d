package lib.rbac_test

import data.lib.rbac

grants := {
	"viewer": ["read"],
	"clerk": ["read", "write"],
	"guest": [],
}

test_permissions[note] if {
	some note, tt in {
		"one role": {"roles": ["viewer"], "want": {"read"}},
		"several roles": {"roles": {"viewer", "clerk"}, "want": {"read", "write"}},
		"role without permissions": {"roles": ["guest"], "want": set()},
		"unknown role": {"roles": ["root"], "want": set()},
		"unknown beside known": {"roles": ["root", "viewer"], "want": {"read"}},
		"no roles": {"roles": [], "want": set()},
	}
	rbac.permissions(grants, tt.roles) == tt.want
}
