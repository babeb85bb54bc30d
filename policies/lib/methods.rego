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
# title: Every method of an API Gateway route
# scope: rule
all := {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

# METADATA
# title: The methods that a list names
# description: |
#   A list of methods as a set. ANY in the list stands for every method, as it does in
#   an API Gateway route. Nothing of the request is looked at, so that what remains for
#   the request is one question: is its method in the set?
# scope: document
named(list) := all if "ANY" in list

named(list) := {method | some method in list} if not "ANY" in list
