package authz_test

import data.authz

# request is what a caller with these claims asks for. Its route and parameters are
# those that the REST API of regent.yaml would find.
request(claims, method, path) := {
	"tenant": {"id": "initech", "attributes": {"plan": "gold"}},
	"identity": {
		"kind": "jwt",
		"subject": "peter",
		"issuer": "https://idp.initech.example",
		"scopes": [],
		"claims": claims,
	},
	"method": method,
	"path": path,
	"segments": split(trim_prefix(path, "/"), "/"),
	"route": route(path),
	"params": params(path),
}

route(path) := "/reports" if path == "/reports"

route(path) := concat("", ["/reports/{id}", export]) if {
	startswith(path, "/reports/")
	export := {true: "/export", false: ""}[endswith(path, "/export")]
}

route(path) := concat("/", array.concat(["/users/{id}"], array.slice(segments, 3, 9))) if {
	segments := split(path, "/")
	segments[1] == "users"
}

params(path) := {"id": id} if id := split(path, "/")[2]

params(path) := {} if not split(path, "/")[2]

may(claims, method, path) if {
	authz.allow with input as request(claims, method, path)
}

test_own_resources[note] if {
	some note, tt in {
		"read the profile": {"method": "GET", "path": "/users/peter"},
		"change the profile": {"method": "PATCH", "path": "/users/peter"},
		"read timesheets": {"method": "GET", "path": "/users/peter/timesheets"},
		"write a timesheet": {"method": "PUT", "path": "/users/peter/timesheets/2026-47"},
		"delete a timesheet": {"method": "DELETE", "path": "/users/peter/timesheets/2026-47"},
	}
	may({}, tt.method, tt.path)
}

test_not_own_resources[note] if {
	some note, tt in {
		"somebody else": {"method": "GET", "path": "/users/samir"},
		"somebody else's timesheets": {"method": "GET", "path": "/users/samir/timesheets"},
		"a longer name": {"method": "GET", "path": "/users/peters"},
		"a shorter name": {"method": "GET", "path": "/users/pete"},
		"the name in another place": {"method": "GET", "path": "/users/samir/peter"},
		"another kind of resource": {"method": "GET", "path": "/reports/peter"},
		"a method that is not listed": {"method": "POST", "path": "/users/peter"},
		"all users": {"method": "GET", "path": "/users/"},
	}
	not may({}, tt.method, tt.path)
}

# On an HTTP API, /users/ has an empty last segment, and the subject of an anonymous
# caller is empty too. That is not "their own".
test_nobody_owns_nothing[kind] if {
	some kind in ["anonymous", "jwt"]
	nobody := {"identity": {"kind": kind, "subject": ""}}
	authz.allow == false with input as object.union(request({}, "GET", "/users/"), nobody)
}

test_managers[note] if {
	some note, tt in {
		"read": {"method": "GET", "path": "/users/samir/timesheets", "manages": ["michael", "samir"], "want": true},
		"of others": {"method": "GET", "path": "/users/milton/timesheets", "manages": ["michael", "samir"], "want": false},
		"only timesheets": {"method": "GET", "path": "/users/samir", "manages": ["samir"], "want": false},
		"do not write": {"method": "PUT", "path": "/users/samir/timesheets", "manages": ["samir"], "want": false},
		"of nobody": {"method": "GET", "path": "/users/samir/timesheets", "manages": [], "want": false},
		"as a string": {"method": "GET", "path": "/users/samir/timesheets", "manages": "samir", "want": false},
	}
	authz.allow == tt.want with input as request({"manages": tt.manages}, tt.method, tt.path)
}

finance := {"department": "finance"}

test_finance_reads_reports if {
	every path in ["/reports", "/reports/q3", "/reports/q3/export"] {
		may(finance, "GET", path)
		not may(finance, "POST", path)
		not may({"department": "engineering"}, "GET", path)
		not may({}, "GET", path)
	}
}

test_finance_reads_nothing_else if {
	every path in ["/users/samir", "/users/samir/timesheets"] {
		not may(finance, "GET", path)
	}
}

test_export_depends_on_the_plan[plan] if {
	some plan, want in {"silver": false, "gold": true, "platinum": true}
	export := request(finance, "GET", "/reports/q3/export")
	authz.allow == want with input as object.union(export, {"tenant": {"attributes": {"plan": plan}}})
}

test_export_without_a_plan if {
	authz.allow == false with input as request(finance, "GET", "/reports/q3/export")
		with input.tenant.attributes as {}
}

test_everybody_listens if {
	authz.allow with input as {"identity": {"kind": "jwt", "subject": "peter", "claims": {}}, "method": "$connect"}
	authz.allow == false with input as {"identity": {"kind": "anonymous", "subject": "", "claims": {}}, "method": "$connect"}
}

test_administrators_do_everything[path] if {
	some path in ["/users/samir", "/reports/q3", "/users/samir/timesheets/2026-47"]
	every method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
		authz.allow with input as request({"admin": true}, method, path)
	}
}

test_who_is_no_administrator[note] if {
	some note, admin in {"no": false, "text": "true", "number": 1, "list": [true]}
	not may({"admin": admin}, "DELETE", "/users/samir")
}

test_suspended_account_is_denied if {
	every claims in [{"account_status": "suspended"}, {"account_status": "suspended", "admin": true}] {
		authz.deny == {"the account is suspended"} with input as request(claims, "GET", "/users/peter")
	}
}

test_other_accounts_are_not_denied if {
	every claims in [{}, {"account_status": "active"}, {"admin": true}] {
		authz.deny == set() with input as request(claims, "GET", "/users/peter")
	}
}

test_nobody_deletes_their_own_account if {
	every claims in [{}, {"admin": true}] {
		authz.deny == {"nobody deletes their own account"} with input as request(claims, "DELETE", "/users/peter")
	}
}

test_what_may_be_deleted if {
	every path in ["/users/samir", "/users/peter/timesheets/2026-47"] {
		authz.deny == set() with input as request({"admin": true}, "DELETE", path)
	}
}

test_context[note] if {
	some note, tt in {
		"employee": {"claims": {}, "want": {}},
		"department": {"claims": finance, "want": {"department": "finance"}},
		"administrator": {"claims": {"admin": true}, "want": {"administrator": true}},
		"department of a wrong type": {"claims": {"department": ["finance"]}, "want": {}},
	}
	authz.context == tt.want with input as request(tt.claims, "GET", "/users/peter")
}

test_principal if {
	authz.principal_id == "employee:peter" with input as request({}, "GET", "/users/peter")
	not authz.principal_id with input.identity as {"kind": "anonymous", "subject": "", "claims": {}}
}
