package apigw

import (
	"encoding/json"
	"errors"
	"strings"

	"regent/engine"
	"regent/engine/iam"
	"regent/tenants"
)

// MaxEvent is the largest event that is read, in bytes. API Gateway's own limits on
// headers and URLs keep events far below.
const MaxEvent = 1 << 20

// codeEvent is the code of a Trouble about an event.
const codeEvent = "event"

// Gateway decodes events and encodes replies. It implements engine.Gateway.
type Gateway struct{}

var _ engine.Gateway = Gateway{}

// Decode reads an event of any shape. Its errors are *engine.Trouble and have no
// values of the event in them other than names, ARNs and ids.
func (Gateway) Decode(event []byte) (engine.Request, error) {
	var ev Event
	if err := read(event, &ev); err != nil {
		return engine.Request{}, err
	}
	shape, err := shapeOf(&ev)
	if err != nil {
		return engine.Request{}, err
	}
	r, err := newReading(&ev, shape)
	if err != nil {
		return engine.Request{}, err
	}
	switch shape {
	case engine.ShapeToken:
		err = r.token()
	case engine.ShapeWebSocket:
		err = r.webSocket()
	case engine.ShapeHTTP2:
		err = r.http2()
	default:
		err = r.rest()
	}
	if err != nil {
		return engine.Request{}, err
	}
	return r.req, nil
}

// read parses the JSON. The errors of encoding/json are rewritten: they can quote
// the text.
func read(event []byte, ev *Event) error {
	if len(event) > MaxEvent {
		return engine.Troublef(codeEvent, "event of %d bytes: want at most %d", len(event), MaxEvent)
	}
	err := json.Unmarshal(event, ev)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return engine.Troublef(codeEvent, "event is not JSON: broken at byte %d of %d", syntax.Offset, len(event))
	case errors.As(err, &kind):
		got, _, _ := strings.Cut(kind.Value, " ")
		field := kind.Field
		if field == "" {
			field = "the event itself"
		}
		return engine.Troublef(codeEvent, "event has the wrong type at byte %d: %s is %s %s", kind.Offset, field, article(got), got)
	default:
		return engine.Troublef(codeEvent, "event is not JSON")
	}
}

func article(word string) string {
	if strings.HasPrefix(word, "a") || strings.HasPrefix(word, "o") {
		return "an"
	}
	return "a"
}

// shapeOf tells the shapes apart by type and version, and REST from WebSocket by what
// only one of them has.
func shapeOf(ev *Event) (engine.Shape, error) {
	switch ev.Type {
	case "TOKEN":
		return engine.ShapeToken, nil
	case "REQUEST":
	default:
		return "", engine.Troublef(codeEvent, "event has type %q: want TOKEN or REQUEST; is the function an authorizer or an integration?", clip(ev.Type))
	}
	switch ev.Version {
	case "1.0":
		return engine.ShapeHTTP1, nil
	case "2.0":
		return engine.ShapeHTTP2, nil
	case "":
	default:
		return "", engine.Troublef(codeEvent, "event has version %q: want 1.0, 2.0 or none", clip(ev.Version))
	}
	connect := ev.RequestContext.ConnectionID != "" || ev.RequestContext.EventType == "CONNECT"
	verb := ev.HTTPMethod != ""
	switch {
	case connect && !verb:
		return engine.ShapeWebSocket, nil
	case verb && !connect:
		return engine.ShapeREST, nil
	case verb:
		return "", engine.Troublef(codeEvent, "event has both httpMethod and a WebSocket connection")
	default:
		return "", engine.Troublef(codeEvent, "event of type REQUEST has neither version, httpMethod nor a WebSocket connection")
	}
}

// reading is one event on its way into a Request.
type reading struct {
	ev  *Event
	arn iam.ARN
	req engine.Request
}

// newReading sets what all shapes have. The ARN says which API the event is for; an
// event that says something else elsewhere is refused.
func newReading(ev *Event, shape engine.Shape) (*reading, error) {
	text := ev.MethodARN
	if shape == engine.ShapeHTTP2 {
		text = ev.RouteARN
	}
	if text == "" {
		return nil, engine.Troublef(codeEvent, "%s event without methodArn (routeArn in HTTP 2.0)", shape)
	}
	if ev.MethodARN != "" && ev.RouteARN != "" && ev.MethodARN != ev.RouteARN {
		return nil, engine.Troublef(codeEvent, "event has a methodArn and a routeArn that differ")
	}
	arn, err := iam.ParseARN(text)
	if err != nil {
		return nil, engine.Troublef(codeEvent, "%w", err)
	}
	if (arn.Method == "$connect") != (shape == engine.ShapeWebSocket) || (arn.Method != "$connect" && strings.Contains(arn.Method, "$")) {
		return nil, engine.Troublef(codeEvent, "%s event with method %q in its ARN", shape, clip(arn.Method))
	}
	ctx := &ev.RequestContext
	for _, v := range []struct{ name, got, want string }{
		{"apiId", ctx.APIID, arn.API},
		{"accountId", ctx.AccountID, arn.Account},
		{"stage", stageName(ctx.Stage), stageName(arn.Stage)},
	} {
		if v.got != "" && v.got != v.want {
			return nil, engine.Troublef(codeEvent, "requestContext.%s is %q, but the ARN has %q", v.name, clip(v.got), clip(v.want))
		}
	}
	return &reading{ev: ev, arn: arn, req: engine.Request{
		Shape:          shape,
		ID:             ctx.RequestID,
		ARN:            text,
		API:            engine.Target{Kind: kindOf(shape), ID: arn.API, Stage: arn.Stage, Account: arn.Account, Region: arn.Region},
		StageVariables: ev.StageVariables,
		SourceIP:       ctx.Identity.SourceIP,
		APIKeyID:       ctx.Identity.APIKeyID,
	}}, nil
}

// stageName gives the stage of console tests, which ARN and context spell
// differently, one name.
func stageName(stage string) string {
	if stage == "ESTestInvoke-stage" {
		return "test-invoke-stage"
	}
	return stage
}

func kindOf(shape engine.Shape) tenants.APIKind {
	switch shape {
	case engine.ShapeToken, engine.ShapeREST:
		return tenants.REST
	case engine.ShapeWebSocket:
		return tenants.WebSocket
	default:
		return tenants.HTTP
	}
}

// ambiguous notes why a request can be read in two ways. The first reason stays.
func (r *reading) ambiguous(reason string) {
	if r.req.Ambiguous == "" {
		r.req.Ambiguous = reason
	}
}

// doubtful notes why API Gateway's cache could see another request than Regent. The
// first reason stays.
func (r *reading) doubtful(reason string) {
	if r.req.Doubtful == "" {
		r.req.Doubtful = reason
	}
}

// either returns what two fields say that should say the same; either may be
// absent.
func (r *reading) either(what, a, b string) string {
	if a == "" {
		return b
	}
	if b != "" && a != b {
		r.ambiguous("the event names two different " + what)
	}
	return a
}

// clip keeps error texts short.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
