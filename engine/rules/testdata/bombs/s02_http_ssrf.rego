# json.match_schema http $ref: SSRF
package authz

x := json.match_schema({}, {"$ref":"http://127.0.0.1:9/latest/meta-data/"})
allow if x
