# METADATA
# title: Initech
# description: |
#   Attributes. Everybody may use what is their own; beyond that, attributes of the
#   caller (department, whom they manage, admin) and of the tenant (its plan) decide.
#   Each rule reads as one sentence about who may do what.
# schemas:
#   - input: schema.input
package authz

import data.lib.identity

# METADATA
# title: Who may do what
# description: |
#   Says no unless one of the rules below says yes.
# scope: document
default allow := false

# METADATA
# title: Everybody reads and updates what is their own
# description: |
#   /users/{id} and everything below it belongs to the caller whose subject is id.
#   The comparison is with one segment of the decoded path, so neither a longer id
#   nor an encoded slash can reach a neighbour's resources.
# scope: rule
allow if {
	own_resource
	input.method in {"GET", "PATCH", "PUT", "DELETE"}
}

# METADATA
# title: Managers read the timesheets of the people they manage
# scope: rule
allow if {
	some id in claims.manages
	input.method == "GET"
	input.route == "/users/{id}/timesheets"
	input.params.id == id
}

# METADATA
# title: Finance reads reports
# scope: rule
allow if {
	claims.department == "finance"
	input.method == "GET"
	input.route in {"/reports", "/reports/{id}"}
}

# METADATA
# title: Finance exports reports, if the plan includes it
# scope: rule
allow if {
	claims.department == "finance"
	input.tenant.attributes.plan in {"gold", "platinum"}
	input.method == "GET"
	input.route == "/reports/{id}/export"
}

# METADATA
# title: Everybody listens to events
# scope: rule
allow if {
	identity.proven(input.identity)
	input.method == "$connect"
}

# METADATA
# title: Administrators do everything
# description: Everything that no deny and no guardrail forbids.
# scope: rule
allow if administrator

# METADATA
# title: A suspended account does nothing
# description: The token may still be good for a while after the account is suspended.
# scope: rule
deny contains "the account is suspended" if claims.account_status == "suspended"

# METADATA
# title: Nobody deletes their own account
# description: Not even an administrator, so that one is always left.
# scope: rule
deny contains "nobody deletes their own account" if {
	own_resource
	input.method == "DELETE"
	count(input.segments) == 2
}

own_resource if {
	identity.proven(input.identity)
	input.segments[0] == "users"
	input.segments[1] == input.identity.subject
}

# true and nothing else: a provider that writes "yes" or 1 has not said so.
administrator if claims.admin == true

claims := input.identity.claims

# METADATA
# title: What the upstream learns
# scope: document
context["department"] := claims.department if is_string(claims.department)

context["administrator"] := administrator

# METADATA
# title: How the caller is named in logs and to the upstream
# scope: rule
principal_id := concat(":", ["employee", input.identity.subject]) if identity.proven(input.identity)
