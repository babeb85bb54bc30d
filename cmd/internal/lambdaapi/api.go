package lambdaapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// arn is the function's own name, as its invocations carry it.
const arn = "arn:aws:lambda:eu-west-1:123456789012:function:authorizer"

// maxPayload is Lambda's limit for events and replies, in bytes.
const maxPayload = 6 << 20

// Reply is what the function answered to one event: Payload or Error.
type Reply struct {
	// Payload is the response's bytes.
	Payload []byte
	// Error is set if the function returned an error.
	Error *FunctionError
}

// FunctionError is the error document that the Lambda runtime posts.
type FunctionError struct {
	// Message is the error's text; API Gateway answers 401 if it is "Unauthorized".
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

// Error returns the type and the message.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// invocation is an event on its way to the function and back.
type invocation struct {
	id       string
	event    []byte
	deadline time.Time
	reply    chan Reply
}

// api is the Runtime API, version 2018-06-01.
type api struct {
	// queue hands invocations to whoever asks for the next one.
	queue chan *invocation
	// ready is closed when the function asks for its first event.
	ready     chan struct{}
	readyOnce sync.Once

	mu      sync.Mutex
	pending map[string]*invocation
	last    int
}

func newAPI() *api {
	return &api{
		queue:   make(chan *invocation),
		ready:   make(chan struct{}),
		pending: map[string]*invocation{},
	}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", a.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", a.failure)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// next waits for an event: it is the runtime's long poll.
func (a *api) next(w http.ResponseWriter, r *http.Request) {
	a.readyOnce.Do(func() { close(a.ready) })
	select {
	case <-r.Context().Done():
	case inv := <-a.queue:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", arn)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0")
		// A connection that breaks here shows as a process that ended or timed out.
		_, _ = w.Write(inv.event)
	}
}

func (a *api) response(w http.ResponseWriter, r *http.Request) {
	a.settle(w, r, func(body []byte) Reply { return Reply{Payload: body} })
}

func (a *api) failure(w http.ResponseWriter, r *http.Request) {
	a.settle(w, r, func(body []byte) Reply {
		var e FunctionError
		if err := json.Unmarshal(body, &e); err != nil {
			e = FunctionError{Type: "lambdaapi.BadErrorDocument", Message: err.Error()}
		}
		return Reply{Error: &e}
	})
}

// settle ends the invocation that the path names. Each can be ended once.
func (a *api) settle(w http.ResponseWriter, r *http.Request, reply func(body []byte) Reply) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	inv := a.take(r.PathValue("id"))
	if inv == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return
	}
	inv.reply <- reply(body)
	w.WriteHeader(http.StatusAccepted)
}

// add registers an invocation of event that must end by deadline.
func (a *api) add(event []byte, deadline time.Time) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	inv := &invocation{
		id:       fmt.Sprintf("00000000-0000-4000-8000-%012d", a.last),
		event:    event,
		deadline: deadline,
		reply:    make(chan Reply, 1),
	}
	a.pending[inv.id] = inv
	return inv
}

// take removes a pending invocation and returns it; nil if there is none.
func (a *api) take(id string) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	inv := a.pending[id]
	delete(a.pending, id)
	return inv
}

// send hands the invocation to the function and waits for its reply. One that its
// caller gives up stays pending: the function may have it already, and its answer
// is taken and dropped.
func (a *api) send(ctx context.Context, inv *invocation, gone <-chan struct{}) (Reply, error) {
	queue := a.queue
	for {
		select {
		case queue <- inv:
			queue = nil
		case reply := <-inv.reply:
			return reply, nil
		case <-gone:
			// It may have answered with its last breath: a panic does.
			select {
			case reply := <-inv.reply:
				return reply, nil
			default:
				return Reply{}, ErrExited
			}
		case <-ctx.Done():
			return Reply{}, ctx.Err()
		}
	}
}
