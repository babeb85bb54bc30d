# METADATA
# title: Paths
# description: Where in the tree of paths a request is.
package lib.path

# METADATA
# title: At or below a place
# description: |
#   True for the base itself and for everything below it. The slash after the base
#   matters: /internalize is not below /internal.
# scope: document
below(path, base) if path == base

below(path, base) if startswith(path, concat("", [base, "/"]))
