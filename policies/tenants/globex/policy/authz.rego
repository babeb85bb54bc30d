# METADATA
# title: Globex
# description: |
#   Scopes per route. The provider decides what a token is good for when it issues
#   it; this table decides which scope each method of each route asks for. A route
#   that is not in the table is closed.
# schemas:
#   - input: schema.input
package authz

import data.lib.identity
import data.lib.scopes

# METADATA
# title: The scope that each method of each route needs
# scope: rule
needed := {
	"/sayhello": {"GET": "greeting:read", "POST": "greeting:write"},
	"/saygoodbye": {"GET": "greeting:read"},
	"/orders": {"GET": "orders:read", "POST": "orders:write"},
	"/orders/{id}": {"GET": "orders:read", "PUT": "orders:write", "DELETE": "orders:delete"},
	"/orders/{id}/items": {"GET": "orders:read"},
	"/reports": {"GET": "reports:read"},
	"/reports/{id}": {"GET": "reports:read"},
	"$connect": {"$connect": "events:subscribe"},
}

# METADATA
# title: Who may do what
# description: |
#   Says no unless one of the rules below says yes.
# scope: document
default allow := false

# METADATA
# title: The token holds the scope that the route needs
# description: |
#   The table is walked and compared with the request, rather than looked up with it:
#   each line then becomes a condition of its own on route and method, which is what a
#   reply for the cache is made of.
# scope: rule
allow if {
	identity.proven(input.identity)
	some route, by_method in needed
	some method, scope in by_method
	scopes.granted(input.identity.scopes, scope)
	input.route == route
	input.method == method
}

# METADATA
# title: The catalogue is open to everybody
# description: Also to callers without a token, whom tenant.yaml admits as anonymous.
# scope: rule
allow if {
	input.method == "GET"
	input.route == "/catalog"
}

# METADATA
# title: Frozen tokens
# description: |
#   The provider marks tokens of customers under investigation. They keep their scopes
#   for reading; a deny outweighs every rule that allows.
# scope: rule
deny contains "the customer's account is frozen" if {
	input.identity.claims.frozen == true
	not input.method in {"GET", "$connect"}
}

# METADATA
# title: What the upstream learns
# description: The customer that the token was issued to, if it says so.
# scope: document
context["customer"] := input.identity.claims.customer if is_string(input.identity.claims.customer)

# METADATA
# title: Whose quota the request counts against
# description: |
#   The value of the customer's API key in a REST API's usage plan, for APIs whose
#   api-key source is the authorizer.
# scope: rule
usage_key := input.identity.claims.usage_key if is_string(input.identity.claims.usage_key)
