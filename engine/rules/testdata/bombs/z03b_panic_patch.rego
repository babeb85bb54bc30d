# PANIC?: json.patch remove root then add
package authz

allow if json.patch({"a":1}, [{"op":"remove","path":""},{"op":"add","path":"/a","value":1}]) == 1
