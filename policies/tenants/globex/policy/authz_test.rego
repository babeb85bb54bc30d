package authz_test

import data.authz

caller(scopes) := {"kind": "jwt", "subject": "bob", "scopes": scopes, "claims": {"sub": "bob"}}

anonymous := {"kind": "anonymous", "subject": "", "scopes": [], "claims": {}}

may(identity, method, route) if {
	authz.allow with input as {"identity": identity, "method": method, "route": route}
}

# Each line of the table is a test of its own: the one scope opens the route, and all
# the other scopes together do not.
test_scope_opens_route[note] if {
	some note, tt in {
		"greet": {"scope": "greeting:read", "method": "GET", "route": "/sayhello"},
		"change the greeting": {"scope": "greeting:write", "method": "POST", "route": "/sayhello"},
		"say goodbye": {"scope": "greeting:read", "method": "GET", "route": "/saygoodbye"},
		"list orders": {"scope": "orders:read", "method": "GET", "route": "/orders"},
		"make an order": {"scope": "orders:write", "method": "POST", "route": "/orders"},
		"read an order": {"scope": "orders:read", "method": "GET", "route": "/orders/{id}"},
		"change an order": {"scope": "orders:write", "method": "PUT", "route": "/orders/{id}"},
		"delete an order": {"scope": "orders:delete", "method": "DELETE", "route": "/orders/{id}"},
		"read an order's items": {"scope": "orders:read", "method": "GET", "route": "/orders/{id}/items"},
		"list reports": {"scope": "reports:read", "method": "GET", "route": "/reports"},
		"read a report": {"scope": "reports:read", "method": "GET", "route": "/reports/{id}"},
		"connect": {"scope": "events:subscribe", "method": "$connect", "route": "$connect"},
	}
	may(caller([tt.scope]), tt.method, tt.route)
	not may(caller(every_scope - {tt.scope}), tt.method, tt.route)
}

every_scope := {scope | some by_method in authz.needed; some scope in by_method}

test_wildcard_scope_opens_its_resource_only if {
	may(caller(["orders:*"]), "DELETE", "/orders/{id}")
	not may(caller(["orders:*"]), "GET", "/reports")
}

test_what_is_not_in_the_table_is_closed[note] if {
	some note, tt in {
		"a route": {"method": "GET", "route": "/users/{id}"},
		"a method": {"method": "PATCH", "route": "/orders/{id}"},
		"a path that is no route": {"method": "GET", "route": "/orders/17"},
		"the whole API": {"method": "GET", "route": "/{proxy+}"},
	}
	not may(caller(every_scope), tt.method, tt.route)
}

test_unknown_route_is_closed if {
	not authz.allow with input as {"identity": caller(every_scope), "method": "GET"}
}

test_no_scopes if {
	not may(caller([]), "GET", "/orders")
}

test_scopes_of_nobody_do_not_count if {
	nobody := object.union(anonymous, {"scopes": ["orders:read"]})
	not may(nobody, "GET", "/orders")
}

test_catalogue_is_open if {
	may(anonymous, "GET", "/catalog")
	may(caller([]), "GET", "/catalog")
	not may(anonymous, "POST", "/catalog")
}

test_anonymous_sees_nothing_else[route] if {
	some route, by_method in authz.needed
	every method, _ in by_method { not may(anonymous, method, route) }
}

frozen := object.union(caller(["orders:*"]), {"claims": {"frozen": true}})

test_frozen_accounts_may_only_read if {
	every method in ["POST", "PUT", "DELETE", "PATCH"] {
		authz.deny == {"the customer's account is frozen"} with input as {"identity": frozen, "method": method}
	}
	every method in ["GET", "$connect"] {
		authz.deny == set() with input as {"identity": frozen, "method": method}
	}
}

test_other_accounts_are_not_frozen[note] if {
	some note, claims in {
		"no claim": {},
		"not frozen": {"frozen": false},
	}
	authz.deny == set() with input as {"identity": {"claims": claims}, "method": "POST"}
}

test_context_and_usage_key if {
	claims := {"customer": "hooli", "usage_key": "hooli-usage-plan-key"}
	authz.context == {"customer": "hooli"} with input.identity.claims as claims
	authz.usage_key == "hooli-usage-plan-key" with input.identity.claims as claims
}

# A value of a wrong type would be an evaluation error, so it is left out.
test_context_and_usage_key_are_left_out[note] if {
	some note, claims in {
		"absent": {},
		"wrong type": {"customer": ["hooli"], "usage_key": 17},
	}
	authz.context == {} with input.identity.claims as claims
	not authz.usage_key with input.identity.claims as claims
}
