package authz_test

import data.authz

# may is the verdict for a caller with these roles. Routes without parameters are
# their own path.
may(roles, method, route, path) if {
	authz.allow with input as {
		"identity": {"kind": "jwt", "subject": "alice", "claims": {"roles": roles}},
		"method": method,
		"route": route,
		"path": path,
	}
}

# The walkthrough of `regent demo`.

test_greeter_may_hear[route] if {
	some route in ["/sayhello", "/saygoodbye"]
	may(["greeter"], "GET", route, route)
}

test_greeter_may_not_change_the_greeting if {
	not may(["greeter"], "POST", "/sayhello", "/sayhello")
}

test_editor_may_change_the_greeting if {
	may(["editor"], "GET", "/sayhello", "/sayhello")
	may(["editor"], "POST", "/sayhello", "/sayhello")
	not may(["editor"], "POST", "/saygoodbye", "/saygoodbye")
}

test_other_roles_do_not_greet[role] if {
	some role in ["viewer", "clerk", "manager", "platform-admin"]
	not may([role], "GET", "/sayhello", "/sayhello")
}

# Orders. Every role against every route: want lists the methods that are allowed,
# and all others must be refused.

every_method := {"GET", "POST", "PUT", "PATCH", "DELETE"}

test_orders[note] if {
	some note, tt in {
		"viewer lists": {"role": "viewer", "route": "/orders", "path": "/orders", "want": {"GET"}},
		"viewer reads": {"role": "viewer", "route": "/orders/{id}", "path": "/orders/17", "want": {"GET"}},
		"viewer reads items": {"role": "viewer", "route": "/orders/{id}/items", "path": "/orders/17/items", "want": {"GET"}},
		"clerk lists": {"role": "clerk", "route": "/orders", "path": "/orders", "want": {"GET", "POST"}},
		"clerk changes": {"role": "clerk", "route": "/orders/{id}", "path": "/orders/17", "want": {"GET", "PUT"}},
		"clerk reads items": {"role": "clerk", "route": "/orders/{id}/items", "path": "/orders/17/items", "want": {"GET"}},
		"manager lists": {"role": "manager", "route": "/orders", "path": "/orders", "want": every_method},
		"manager changes": {"role": "manager", "route": "/orders/{id}", "path": "/orders/17", "want": every_method},
		"manager reads items": {"role": "manager", "route": "/orders/{id}/items", "path": "/orders/17/items", "want": every_method},
		"greeter lists": {"role": "greeter", "route": "/orders", "path": "/orders", "want": set()},
	}
	got := {method | some method in every_method; may([tt.role], method, tt.route, tt.path)}
	got == tt.want
}

test_manager_stays_with_orders[path] if {
	some path in ["/", "/order", "/orders-archive", "/users/17", "/internal/orders"]
	not may(["manager"], "GET", path, path)
}

test_several_roles_add_up if {
	may(["greeter", "viewer"], "GET", "/sayhello", "/sayhello")
	may(["greeter", "viewer"], "GET", "/orders", "/orders")
}

test_one_role_as_a_string if {
	may("greeter", "GET", "/sayhello", "/sayhello")
}

test_who_is_refused_everything[note] if {
	some note, claims in {
		"no roles": {"roles": []},
		"no claim": {},
		"unknown role": {"roles": ["root"]},
		"roles of a wrong type": {"roles": {"greeter": true}},
		"role of a wrong type": {"roles": [["greeter"], 1, null]},
	}
	authz.allow == false with input as {
		"identity": {"kind": "jwt", "subject": "alice", "claims": claims},
		"method": "GET",
		"route": "/sayhello",
		"path": "/sayhello",
	}
}

# A TOKEN event knows no route: permissions by path still count, those by route do not.
test_unknown_route if {
	token_event := {
		"identity": {"kind": "jwt", "subject": "alice", "claims": {"roles": ["manager", "viewer"]}},
		"method": "GET",
	}
	authz.allow with input as object.union(token_event, {"path": "/orders/17"})
	authz.allow == false with input as object.union(token_event, {"path": "/sayhello"})
}

test_websocket if {
	may(["viewer"], "$connect", "$connect", "/")
	not may(["manager"], "$connect", "$connect", "/")
}

test_platform_admin if {
	may(["platform-admin"], "GET", "/internal/{proxy+}", "/internal/health")
	not may(["platform-admin"], "POST", "/internal/{proxy+}", "/internal/health")
}

test_context_names_the_roles if {
	authz.context == {"roles": "clerk,viewer"} with input.identity.claims as {"roles": ["viewer", "clerk"]}
	authz.context == {"roles": ""} with input.identity.claims as {}
}

# The data itself: a permission with a misspelt member would silently grant nothing.
test_permissions_are_well_formed if {
	every permissions in data.roles {
		every permission in permissions {
			object.keys(permission) in {{"methods", "route"}, {"methods", "path"}}
			count(permission.methods) > 0
		}
	}
}
