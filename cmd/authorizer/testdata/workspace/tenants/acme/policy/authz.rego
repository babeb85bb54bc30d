package authz

allow if {
	input.method == "GET"
	input.segments[0] == "orders"
	"viewer" in input.identity.claims.roles
}

# An error in a rule is trouble, neither yes nor no.
allow if {
	input.path == "/boom"
	1 / (count(input.params) - count(input.params)) == 1
}

context := {"greeting": "hello"}
