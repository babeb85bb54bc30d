# graphql.parse_query 1M deep
package authz

allow if {
 x := graphql.parse_query(concat("",[replace(sprintf("%1000000s",[" "])," ","{a"),replace(sprintf("%1000000s",[" "])," ","}")]))
 count(x) == 0
}
