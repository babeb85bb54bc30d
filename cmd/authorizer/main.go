// Command authorizer is the Lambda function: it answers API Gateway's authorizer
// events for every API and tenant of one store.
//
// It is configured by REGENT_ variables (DESIGN.md §12). Standard output has one
// JSON line for each decision and nothing else; standard error has operational
// messages and metrics, as JSON too. A configuration or a store that cannot be used ends the
// process before it takes an event.
package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/config"
	"regent/engine"
	"regent/engine/identity"
	"regent/engine/rules/sandbox"
)

func main() {
	sandbox.Main()
	f, err := setUp(os.Environ(), os.Stdout, os.Stderr)
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("the function cannot start", "error", err.Error())
		os.Exit(1)
	}
	log.SetFlags(0)
	log.SetOutput(runtimeLog{f.messages})
	lambda.Start(f)
}

// setUp builds the function from its environment.
func setUp(environ []string, stdout, stderr io.Writer) (*function, error) {
	c, err := config.FromEnviron(environ)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	stderr = &serial{w: stderr}
	messages := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	store, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", c.Store, err)
	}
	watch := &childWatch{messages: messages, now: time.Now}
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store:        store.Store,
		MaxStale:     c.MaxStale,
		AllowPrivate: c.AllowPrivate,
		EvalTimeout:  c.EvalTimeout,
		InProcess:    c.InProcess,
		Memory:       childMemory(environment(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")),
		Processor:    processor(environment(environ, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")),
		Parking:      store.parking,
		Report:       watch.report,
		// The function logs what it answers, which is trouble where the engine was
		// too late.
		Log: func(engine.Record) {},
	})
	if err != nil {
		return nil, err
	}
	counts := newMetrics(stderr, environment(environ, "AWS_LAMBDA_FUNCTION_NAME"), time.Now())
	countIdentity(counts, authorizer.Identity)
	store.count(counts)
	watch.count(counts)
	if c.AllowPrivate {
		messages.Warn("identity providers may be at private addresses and without TLS: REGENT_ALLOW_PRIVATE_PROVIDERS is for development")
	}
	isolation := "process"
	if c.InProcess {
		isolation = "none"
		messages.Warn("rules are evaluated in the function's own process: REGENT_ISOLATION=none is for rules that are all trusted")
	}
	messages.Info("ready", "store", c.Store.String(), "isolation", isolation, "eval_timeout", c.EvalTimeout.String())
	return &function{
		authorizer: authorizer,
		decisions:  &decisionLog{w: stdout, id: assemble.NewID()},
		messages:   messages,
		metrics:    counts,
		watch:      watch,
		settle:     store.settle,
		margin:     defaultMargin,
	}, nil
}

// environment returns the value of a variable; "" if there is none.
func environment(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// countIdentity adds the metrics of a verifier that counts.
func countIdentity(m *metrics, verifier engine.Verifier) {
	v, ok := verifier.(interface{ Stats() identity.Stats })
	if !ok {
		return
	}
	m.count("ProviderRequests", func() uint64 { return v.Stats().Requests })
	m.count("ProviderFailures", func() uint64 { return v.Stats().Failures })
	m.count("UnusableKeys", func() uint64 { return v.Stats().UnusableKeys })
	m.count("KeysInHeader", func() uint64 { return v.Stats().KeysInHeader })
}

// serial keeps the lines of several writers whole.
type serial struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes p in one piece.
func (s *serial) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// runtimeLog takes what aws-lambda-go prints. It prints every error that the
// function returns, and each 401 is one; those are decisions and have their line.
type runtimeLog struct{ messages *slog.Logger }

// Write logs one message.
func (l runtimeLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	if strings.HasPrefix(text, `{"errorMessage":`) {
		l.messages.Debug("event answered with an error", "error", text)
	} else {
		l.messages.Error("lambda runtime", "error", text)
	}
	return len(p), nil
}
