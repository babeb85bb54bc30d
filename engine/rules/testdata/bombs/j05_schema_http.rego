# json.match_schema remote $ref (default capabilities)
package authz

allow if json.match_schema({"a":1}, {"$ref":"http://127.0.0.1:9/x.json"})[0]
