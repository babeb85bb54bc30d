# json.match_schema uniqueItems on 20k items
package authz

allow if json.match_schema({"a":numbers.range(1,20000)}, {"properties":{"a":{"uniqueItems":true}}})[1] == 3
