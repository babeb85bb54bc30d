# json.verify_schema file:// $ref: reads local files? (error text oracle)
package authz

x := json.verify_schema({"$ref":"file:///etc/hostname"})[1]
allow if contains(x, "invalid character")
