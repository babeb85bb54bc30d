package dynamotest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is what a Proxy does to some requests.
type Fault struct {
	// Kind says what.
	Kind Kind
	// Operation limits it to one operation, such as GetItem, or to Writes.
	Operation string
	// Contains limits it to requests whose body has this text, such as a key's prefix.
	Contains string
	// After lets this many of them through first; Count ends it after this many more, 0
	// never.
	After, Count int
	// Every makes it only each n-th of them; 0 is each.
	Every int
	// Meanwhile is called when the server has answered, before anything else happens.
	Meanwhile func() `json:"-"`
	// Edit changes the server's answer, for Edited.
	Edit func(answer map[string]any) `json:"-"`
}

// Writes stands for PutItem, UpdateItem and DeleteItem.
const Writes = "writes"

// Kind is a kind of fault.
type Kind string

// The kinds of faults. The zero value is none.
const (
	Throttled     Kind = "throttled"           // ThrottlingException
	Exceeded      Kind = "throughput exceeded" // ProvisionedThroughputExceededException
	InternalError Kind = "internal error"      // status 500
	Unavailable   Kind = "unavailable"         // status 503, and a page of HTML
	Denied        Kind = "access denied"       // AccessDeniedException
	NoTable       Kind = "no table"            // ResourceNotFoundException
	Invalid       Kind = "invalid"             // ValidationException
	BadSignature  Kind = "bad signature"       // InvalidSignatureException, with the session token in its message
	Hang          Kind = "hang"                // no answer ever
	Reset         Kind = "reset"               // the connection is reset, nothing is done
	LostAnswer    Kind = "lost answer"         // the request is done, then the connection is reset
	Truncated     Kind = "truncated"           // half of the answer, then the connection ends
	Slow          Kind = "slow"                // the answer comes byte by byte
	NotJSON       Kind = "not JSON"            // status 200, and a page of HTML
	Missing       Kind = "missing item"        // the answer has no items
	Swapped       Kind = "swapped pieces"      // the pieces of a BatchGetItem have each other's data
	Unprocessed   Kind = "unprocessed keys"    // half of the keys of a BatchGetItem are left, at least one
	Stale         Kind = "stale"               // an eventually consistent GetItem answers as it did the last time
	Edited        Kind = "edited"              // the answer is changed by Edit
)

// TokenInAnswer is what BadSignature has in its message, and no error may repeat.
const TokenInAnswer = "IQoJb3JpZ2luX2VjTOKEN"

// slowByByte is the time between the bytes of Slow.
const slowByByte = 50 * time.Millisecond

func (f Fault) applies(r request) bool {
	of := f.Operation == "" || f.Operation == r.operation || f.Operation == Writes && r.writes()
	switch f.Kind {
	case Unprocessed, Swapped:
		of = of && r.operation == "BatchGetItem"
	case Stale:
		of = of && r.operation == "GetItem"
	}
	return of && bytes.Contains(r.body, []byte(f.Contains))
}

// make answers a request, with the fault.
func (f Fault) make(ctx context.Context, p *Proxy, w http.ResponseWriter, r request) {
	switch f.Kind {
	case Throttled:
		refuse(w, 400, "ThrottlingException", "Rate of requests exceeds the allowed throughput.")
	case Exceeded:
		refuse(w, 400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded.")
	case InternalError:
		refuse(w, 500, "InternalServerError", "The request processing has failed because of an unknown error.")
	case Unavailable:
		page(w, 503)
	case Denied:
		refuse(w, 400, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: dynamodb:"+r.operation)
	case NoTable:
		refuse(w, 400, "ResourceNotFoundException", "Requested resource not found")
	case Invalid:
		refuse(w, 400, "ValidationException", "One or more parameter values were invalid")
	case BadSignature:
		refuse(w, 400, "InvalidSignatureException", "The request signature we calculated does not match. The Canonical String should have been\nx-amz-security-token:"+TokenInAnswer)
	case Hang:
		hold(ctx, p)
	case Reset:
		reset(w)
	case NotJSON:
		page(w, 200)
	default:
		f.change(ctx, p, w, r)
	}
}

// change answers with what the server says, changed.
func (f Fault) change(ctx context.Context, p *Proxy, w http.ResponseWriter, r request) {
	a, err := f.answer(ctx, p, r)
	if err != nil {
		reset(w) // the client has gone, or the server has
		return
	}
	if f.Meanwhile != nil {
		f.Meanwhile()
	}
	switch f.Kind {
	case LostAnswer:
		reset(w)
	case Truncated:
		a.write(w, len(a.body)/2)
		hangUp(w)
	case Slow:
		a.trickle(ctx, p, w)
	default:
		a.write(w, len(a.body))
	}
}

func (f Fault) answer(ctx context.Context, p *Proxy, r request) (answer, error) {
	switch f.Kind {
	case Stale:
		if a, ok := p.remembered(r); ok {
			return a, nil
		}
	case Unprocessed:
		return p.unprocessed(ctx, r)
	}
	a, err := p.forward(ctx, r)
	if err != nil {
		return a, err
	}
	switch f.Kind {
	case Missing:
		return a.edit(removeItems), nil
	case Swapped:
		return a.edit(swapPieces), nil
	case Edited:
		return a.edit(f.Edit), nil
	}
	return a, nil
}

// unprocessed leaves half of the keys.
func (p *Proxy) unprocessed(ctx context.Context, r request) (answer, error) {
	var in map[string]any
	if err := decode(r.body, &in); err != nil {
		return answer{}, err
	}
	left := map[string]any{}
	for table, of := range in["RequestItems"].(map[string]any) {
		request := of.(map[string]any)
		keys := request["Keys"].([]any)
		n := len(keys) / 2
		left[table] = map[string]any{"Keys": keys[n:]}
		request["Keys"] = keys[:n]
		if n == 0 {
			return answer{status: 200, header: http.Header{}}.edit(func(out map[string]any) {
				out["Responses"], out["UnprocessedKeys"] = map[string]any{table: []any{}}, left
			}), nil
		}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	r.body = body
	a, err := p.forward(ctx, r)
	if err != nil {
		return a, err
	}
	return a.edit(func(out map[string]any) { out["UnprocessedKeys"] = left }), nil
}

func removeItems(out map[string]any) {
	delete(out, "Item")
	if _, query := out["Items"]; query {
		out["Items"], out["Count"] = []any{}, 0
	}
	if tables, ok := out["Responses"].(map[string]any); ok {
		for table := range tables {
			tables[table] = []any{}
		}
	}
}

// swapPieces rotates the data of the items of a BatchGetItem.
func swapPieces(out map[string]any) {
	tables, _ := out["Responses"].(map[string]any)
	for _, all := range tables {
		items, _ := all.([]any)
		if len(items) < 2 {
			continue
		}
		first := items[0].(map[string]any)["data"]
		for i := range items[1:] {
			items[i].(map[string]any)["data"] = items[i+1].(map[string]any)["data"]
		}
		items[len(items)-1].(map[string]any)["data"] = first
	}
}

func decode(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return dec.Decode(v)
}

// edit returns the answer with its document changed. An answer that is no document is an
// empty one.
func (a answer) edit(change func(map[string]any)) answer {
	out := map[string]any{}
	_ = decode(a.body, &out)
	change(out)
	body, err := json.Marshal(out)
	if err != nil {
		panic(err) // what Edit made is not JSON: a mistake in a test
	}
	header := a.header.Clone()
	header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	return answer{a.status, header, body}
}

// write sends the first n bytes of the answer, which announces all of them.
func (a answer) write(w http.ResponseWriter, n int) {
	for _, name := range []string{"Content-Type", "X-Amz-Crc32", "X-Amzn-Requestid"} {
		if v := a.header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:n]) // the client may have gone
}

// trickle sends the answer byte by byte.
func (a answer) trickle(ctx context.Context, p *Proxy, w http.ResponseWriter) {
	a.write(w, 0)
	flush := http.NewResponseController(w)
	tick := time.NewTicker(slowByByte)
	defer tick.Stop()
	for i := range a.body {
		select {
		case <-ctx.Done():
			return
		case <-p.done:
			return
		case <-tick.C:
			_, _ = w.Write(a.body[i : i+1])
			_ = flush.Flush()
		}
	}
}

func hold(ctx context.Context, p *Proxy) {
	select {
	case <-ctx.Done():
	case <-p.done:
	}
}

// reset ends the connection so that the client sees a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// hangUp ends the connection behind what was written.
func hangUp(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	body, _ := json.Marshal(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message})
	answer{status, http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, body}.write(w, len(body))
}

func page(w http.ResponseWriter, status int) {
	body := fmt.Appendf(nil, "<html><body>%d</body></html>", status)
	answer{status, http.Header{"Content-Type": {"text/html"}}, body}.write(w, len(body))
}
