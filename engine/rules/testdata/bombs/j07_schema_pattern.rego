# json.match_schema pattern keyword: regex cost
package authz

allow if json.match_schema({"a":sprintf("%1000000d",[1])}, {"properties":{"a":{"pattern":"(a?){500}(a?a?){200}( |b|  |   ){300}$x"}}})[0]
