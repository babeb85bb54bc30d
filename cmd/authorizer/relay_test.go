package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// relay passes connections on to a server, and can lose them: what a network does to
// the idle connections of a frozen function.
type relay struct {
	url string

	mu    sync.Mutex
	pairs []*pair
}

// pair is a connection from the function and the one to the server behind it.
type pair struct {
	client, server net.Conn
	lost           chan struct{} // closed when nothing is passed on any more
}

// newRelay starts a relay to the server at url, which has http:// and a port.
func newRelay(t *testing.T, url string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{url: "http://" + listener.Addr().String()}
	t.Cleanup(func() {
		_ = listener.Close()
		r.close()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			r.pass(&pair{client: client, server: server, lost: make(chan struct{})})
		}
	}()
	return r
}

func (r *relay) pass(p *pair) {
	r.mu.Lock()
	r.pairs = append(r.pairs, p)
	r.mu.Unlock()
	go p.copy(p.server, p.client)
	go p.copy(p.client, p.server)
}

// copy passes bytes on in one direction until an end closes or the pair is lost. What
// is lost stays open, and silent.
func (p *pair) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-p.lost:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// close ends all connections there are, with a FIN, and returns how many.
func (r *relay) close() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.pairs)
	for _, p := range r.pairs {
		_ = p.client.Close()
		_ = p.server.Close()
	}
	r.pairs = nil
	return n
}

// lose makes all connections there are silent, without a FIN, and returns how many. The
// test's cleanup ends them with the function.
func (r *relay) lose() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.pairs)
	for _, p := range r.pairs {
		close(p.lost)
	}
	r.pairs = nil
	return n
}
