# PANIC: json.patch remove of the root path
package authz

allow if json.patch({"a":1}, [{"op":"remove","path":""}]) == 1
