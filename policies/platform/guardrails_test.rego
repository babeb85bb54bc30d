package platform_test

import data.platform

# A harmless request of a proven caller. Each test changes what it is about.
request := {
	"tenant": {"id": "acme", "attributes": {"plan": "gold"}},
	"identity": {
		"kind": "jwt",
		"subject": "alice",
		"issuer": "https://idp.acme.example",
		"scopes": [],
		"claims": {"sub": "alice"},
	},
	"method": "GET",
	"path": "/orders/17",
}

denied(change) := reasons if {
	reasons := platform.deny with input as object.union(request, change)
}

test_harmless_request_is_not_denied if {
	denied({}) == set()
}

test_methods_never_served if {
	every method in ["TRACE", "CONNECT"] {
		"the method is not served" in denied({"method": method})
	}
}

test_methods_served if {
	every method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "$connect"] {
		denied({"method": method}) == set()
	}
}

test_internal_is_denied[note] if {
	some note, tt in {
		"itself": {"path": "/internal"},
		"below": {"path": "/internal/health"},
		"the claim from the tenant's own provider": {
			"path": "/internal/health",
			"identity": {"claims": {"roles": ["platform-admin"]}},
		},
		"the platform's provider without the claim": {
			"path": "/internal/health",
			"identity": {"issuer": platform.staff_issuer},
		},
		"the platform's provider with another role": {
			"path": "/internal/health",
			"identity": {"issuer": platform.staff_issuer, "claims": {"roles": ["support"]}},
		},
	}
	denied(tt) == {"only platform administrators may use /internal"}
}

test_internal_for_platform_administrators if {
	denied({
		"path": "/internal/health",
		"identity": {"issuer": "https://staff.platform.example", "claims": {"roles": ["platform-admin"]}},
	}) == set()
}

test_read_only_denies_writes if {
	every method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
		denied({"method": method, "tenant": {"attributes": {"read_only": true}}}) == {"the tenant is read-only"}
	}
}

test_read_only_lets_reads_pass if {
	every method in ["GET", "HEAD", "OPTIONS", "$connect"] {
		denied({"method": method, "tenant": {"attributes": {"read_only": true}}}) == set()
	}
}

test_read_only_off if {
	denied({"method": "POST", "tenant": {"attributes": {"read_only": false}}}) == set()
}

anonymous := {"identity": {"kind": "anonymous", "subject": "", "issuer": "", "claims": {}}}

test_anonymous_may_read if {
	denied(anonymous) == set()
}

test_anonymous_may_not_write if {
	denied(object.union(anonymous, {"method": "POST"})) == {"anonymous callers may only read"}
}

test_context_has_the_plan if {
	platform.context == {"plan": "gold"} with input as request
}

test_context_without_a_plan if {
	platform.context == {} with input as {"tenant": {"attributes": {}}}
}
