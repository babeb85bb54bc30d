# METADATA
# title: Acme
# description: |
#   Roles and permissions in data. The token's claim roles names the caller's roles,
#   data.yaml says what each role may do, and this file says how the two meet.
#   Giving a role another route is a change of data, not of rules.
# schemas:
#   - input: schema.input
package authz

import data.lib.identity
import data.lib.methods
import data.lib.rbac

# METADATA
# title: Who may do what
# description: |
#   Says no unless one of the rules below says yes.
# scope: document
default allow := false

# METADATA
# title: Permissions by route
# description: |
#   The template that API Gateway matched must be the permission's, letter by letter.
#   Where the route is unknown (TOKEN events) this rule grants nothing.
# scope: rule
allow if {
	some permission in permissions
	input.method in methods.named(permission.methods)
	input.route == permission.route
}

# METADATA
# title: Permissions by path
# scope: rule
allow if {
	some permission in permissions
	input.method in methods.named(permission.methods)
	glob.match(permission.path, ["/"], input.path)
}

roles := identity.values(input.identity.claims, "roles")

permissions := rbac.permissions(data.roles, roles)

# METADATA
# title: What the upstream learns
# description: The caller's roles in alphabetical order, joined by a comma.
# scope: document
context["roles"] := concat(",", sort(roles))
