# METADATA
# title: Guardrails
# description: |
#   Rules of the platform. They are evaluated together with every tenant's rules:
#   what they deny stays denied, whatever a tenant's own rules say.
#
#   Guardrails trust the tenant's record and its attributes, which the operator sets.
#   They do not trust claims by themselves, for a tenant's own provider can put any
#   claim into a token: see platform_admin below.
# schemas:
#   - input: schema.input
package platform

import data.lib.identity
import data.lib.methods
import data.lib.path

# METADATA
# title: The platform's own issuer
# description: The only provider whose word counts about who runs the platform.
# scope: rule
staff_issuer := "https://staff.platform.example"

# METADATA
# title: Methods that are never served
# description: |
#   TRACE echoes headers back, credentials included; CONNECT asks for a tunnel.
# scope: rule
deny contains "the method is not served" if input.method in {"TRACE", "CONNECT"}

# METADATA
# title: Operations are for those who run the platform
# scope: rule
deny contains "only platform administrators may use /internal" if {
	path.below(input.path, "/internal")
	not platform_admin
}

# METADATA
# title: A read-only tenant
# description: |
#   The operator sets read_only on a tenant, for instance while its data is moved.
#   The rule denies whatever is not known to be harmless, so that a method nobody
#   thought of counts as a write.
# scope: rule
deny contains "the tenant is read-only" if {
	input.tenant.attributes.read_only == true
	not input.method in methods.safe
}

# METADATA
# title: Anonymous callers only read
# description: A tenant can show the world something, but not let the world change it.
# scope: rule
deny contains "anonymous callers may only read" if {
	not identity.proven(input.identity)
	not input.method in methods.safe
}

# METADATA
# title: Who runs the platform
# description: |
#   The claim alone would not do: a tenant could have its own provider issue it. The
#   issuer is proven, and a tenant has this one only if its record lists it.
# scope: rule
platform_admin if {
	input.identity.issuer == staff_issuer
	"platform-admin" in identity.values(input.identity.claims, "roles")
}

# METADATA
# title: What every upstream learns
# description: |
#   The plan, for upstreams that serve some plans faster. It depends on the tenant
#   alone, so it is the same for every request that shares a cached reply.
# scope: document
context["plan"] := input.tenant.attributes.plan
