# METADATA
# title: Methods
# description: |
#   What a request's method means. Conditions on a method by equality and by
#   membership in a fixed set can be carried over into an IAM policy, so these helpers
#   use nothing else.
package lib.methods

# METADATA
# title: Methods that only read
# description: |
#   The methods that change nothing by their own definition (RFC 9110 §9.2.1).
#   $connect opens a WebSocket: what is sent over it later is not authorized here.
# scope: rule
safe := {"GET", "HEAD", "OPTIONS", "$connect"}

# METADATA
# title: A method is in a list
# description: |
#   True if the list names the method. ANY in the list stands for every method, as in
#   an API Gateway route.
# scope: document
listed(method, list) if method in list

listed(_, list) if "ANY" in list
