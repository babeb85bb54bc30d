# graph.reachable layered DAG: nodes are not marked when queued -> 40^layers queue entries
package authz

g := {i: [j|some j in numbers.range((floor(i/40)+1)*40, (floor(i/40)+1)*40+39)]|some i in numbers.range(0,160)}
allow if count(graph.reachable(g,[0])) == 9
