package dynamotest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands in front of a server and makes the faults it is told to. It may be used
// by many goroutines.
type Proxy struct {
	// URL is its endpoint.
	URL string

	endpoint string
	client   *http.Client
	server   *httptest.Server
	done     chan struct{}
	// connections counts those that were made; the first dead ones do not answer any more.
	connections, dead atomic.Int64

	mu       sync.Mutex
	faults   []*active
	requests map[string]int
	seen     map[string]answer // by the key that a GetItem asked for
}

// active is a fault and how many requests it has seen.
type active struct {
	Fault
	seen int
}

// NewProxy starts a proxy in front of an endpoint. It stops when the test ends.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	p := &Proxy{
		endpoint: endpoint, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		done: make(chan struct{}), requests: map[string]int{}, seen: map[string]answer{},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, p.connections.Add(1))
	}
	p.server.Start()
	p.URL = p.server.URL
	t.Cleanup(func() {
		close(p.done) // lets go of what hangs
		p.server.CloseClientConnections()
		p.server.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// connection is the key of a connection's number in a request's context.
type connection struct{}

// Forget makes the connections that there are dead without a word, as they are after a
// process was frozen for long: what is sent on them is not answered. New ones work.
func (p *Proxy) Forget() { p.dead.Store(p.connections.Load()) }

// Disconnect closes the connections that there are.
func (p *Proxy) Disconnect() { p.server.CloseClientConnections() }

// Add adds faults. For each request the first one that applies is made.
func (p *Proxy) Add(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		p.faults = append(p.faults, &active{Fault: f})
	}
}

// Clear removes all faults. Requests that hang already stay so.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Requests returns how many requests came for an operation, or for all operations if it
// is "". Those that met a fault count.
func (p *Proxy) Requests(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if operation != "" {
		return p.requests[operation]
	}
	sum := 0
	for _, n := range p.requests {
		sum += n
	}
	return sum
}

// Operations returns the names of the operations that were asked for, sorted.
func (p *Proxy) Operations() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.requests))
}

// request is one, as far as faults look at it.
type request struct {
	operation string
	body      []byte
	header    http.Header
}

func (r request) writes() bool {
	return r.operation == "PutItem" || r.operation == "UpdateItem" || r.operation == "DeleteItem"
}

// answer is the server's.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP forwards a request, or makes a fault.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	in := request{operation, body, r.Header}
	f := p.choose(in)
	if n, _ := r.Context().Value(connection{}).(int64); n <= p.dead.Load() {
		f = &Fault{Kind: Hang}
	}
	if f == nil {
		f = &Fault{}
	}
	f.make(r.Context(), p, w, in)
}

// choose counts the request and returns the fault to make.
func (p *Proxy) choose(r request) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[r.operation]++
	for _, f := range p.faults {
		if !f.applies(r) {
			continue
		}
		f.seen++
		n := f.seen - f.After
		if n > 0 && (f.Count == 0 || n <= f.Count) && (f.Every == 0 || n%f.Every == 0) {
			return &f.Fault
		}
	}
	return nil
}

// forward asks the server.
func (p *Proxy) forward(ctx context.Context, r request) (answer, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	out.Header = r.header.Clone()
	out.Header.Del("Content-Length")
	response, err := p.client.Do(out)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	a := answer{response.StatusCode, response.Header, body}
	if err == nil && r.operation == "GetItem" {
		p.remember(r, a)
	}
	return a, err
}

// remember keeps the last answer about each item, for Stale.
func (p *Proxy) remember(r request, a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key, _ := r.get()
	p.seen[key] = a
}

func (p *Proxy) remembered(r request) (answer, bool) {
	key, consistent := r.get()
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.seen[key]
	return a, ok && !consistent
}

// get reads a GetItem.
func (r request) get() (key string, consistent bool) {
	var in struct {
		TableName      string
		Key            json.RawMessage
		ConsistentRead bool
	}
	_ = json.Unmarshal(r.body, &in) // the SDK's own
	var canonical any
	_ = json.Unmarshal(in.Key, &canonical)
	text, _ := json.Marshal([]any{in.TableName, canonical})
	return string(text), in.ConsistentRead
}
