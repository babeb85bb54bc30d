# graphql.is_valid: fragment doubling chain
package authz

allow if {
 q := concat(" ",array.concat(["{...f0 ...f0}"],[sprintf("fragment f%d on Query{...f%d ...f%d}",[i,i+1,i+1])|some i in numbers.range(0,60)]))
 graphql.is_valid(concat(" ",[q,"fragment f61 on Query{a}"]),"type Query{a:String}")
}
