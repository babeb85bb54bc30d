# graphql.schema_is_valid 20k types
package authz

allow if { s := concat(" ",[sprintf("type T%d { f: T%d }",[i,i+1])|some i in numbers.range(1,20000)]); graphql.schema_is_valid(concat(" ",["type Query{a:T1}",s,"type T20001{a:String}"])) }
