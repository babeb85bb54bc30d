# METADATA
# title: Roles and permissions
# description: |
#   Role-based access over a table of grants: an object from role to a list of
#   permissions. What a permission looks like is up to the tenant.
package lib.rbac

# METADATA
# title: Permissions of roles
# description: |
#   Everything that is granted to at least one of the roles. A role that the table
#   does not have grants nothing.
# scope: rule
permissions(grants, roles) := {permission |
	some role in roles
	some permission in grants[role]
}
