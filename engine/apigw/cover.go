package apigw

import (
	"fmt"

	"regent/engine"
	"regent/engine/iam"
)

// contextRoom is what a complete document leaves of API Gateway's 8 KB for the rest
// of the reply, in bytes.
const contextRoom = 2048

// Cover writes the complete document of DESIGN.md §8 for the cells of a cache key.
func (Gateway) Cover(req engine.Request, cells []engine.Cell) (engine.Document, []engine.Limit, error) {
	arn, err := iam.ParseARN(req.ARN)
	if err != nil {
		return nil, nil, engine.Troublef(codeReply, "%w", err)
	}
	c, err := iam.Cover(arn, cells, iam.Request{Method: req.Method, Segments: req.Segments}, iam.MaxReply-contextRoom)
	if err != nil {
		return nil, nil, engine.Troublef(codeReply, "%w", err)
	}
	var limits []engine.Limit
	for _, n := range c.Narrowed {
		limits = append(limits, engine.Limit{Reason: fmt.Sprintf("%s %s: %s", n.Cell.Method, n.Cell.Route, n.Reason)})
	}
	return completeDocument{c.Document}, limits, nil
}

// completeDocument is a document that speaks for a whole cache key.
type completeDocument struct{ iam.Document }

// Allows reports whether the document allows a request for an ARN.
func (d completeDocument) Allows(arn string) bool {
	return d.Evaluate(iam.Invoke, arn) == iam.Allowed
}
