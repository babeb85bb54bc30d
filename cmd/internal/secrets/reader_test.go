package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	name   = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:regent/acme/idp-AbCdEf"
	secret = "s3cr3t-canary"
)

// manager speaks AWS Secrets Manager's JSON protocol on loopback.
type manager struct {
	mu    sync.Mutex
	serve http.HandlerFunc
	asked int
}

// start makes it what AWS clients find, with credentials that are no secret.
func start(t *testing.T, serve http.HandlerFunc) *manager {
	t.Helper()
	m := &manager{serve: serve}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.asked++
		serve := m.serve
		m.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(s.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": s.URL, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "key-canary",
		"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return m
}

func (m *manager) set(serve http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serve = serve
}

func (m *manager) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func replies(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func value(s string) string {
	b, _ := json.Marshal(map[string]any{"ARN": name, "Name": "regent/acme/idp", "SecretString": s, "VersionStages": []string{"AWSCURRENT"}})
	return string(b)
}

// read reads as tenant acme, and holds errors to what holds for all of them.
func read(t *testing.T, r *Reader, reference string) (string, error) {
	t.Helper()
	got, err := r.Read(t.Context(), "acme", reference)
	if err != nil {
		if got != "" {
			t.Errorf("%q comes with an error", got)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			if strings.Contains(text, "canary") {
				t.Errorf("a secret is in the error %s", text)
			}
		}
	}
	return got, err
}

func TestRead(t *testing.T) {
	m := start(t, func(w http.ResponseWriter, r *http.Request) {
		var asked map[string]any
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked) != 1 || asked["SecretId"] != name {
			t.Errorf("asked %v, %v", asked, err)
		}
		if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" || r.Method != http.MethodPost {
			t.Errorf("%s %s", r.Method, target)
		}
		// The region is the ARN's, not the function's.
		if signed := r.Header.Get("Authorization"); !strings.Contains(signed, "/eu-west-1/secretsmanager/aws4_request") {
			t.Errorf("signed as %s", signed)
		}
		replies(200, value(secret))(w, r)
	})
	r := New()
	for range 3 {
		if got, err := read(t, r, name); got != secret || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if n := m.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A secret that is kept is still the one tenant's.
func TestReadOfAnother(t *testing.T) {
	m := start(t, replies(200, value(secret)))
	r := New()
	if _, err := read(t, r, name); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"bolt", "idp-AbCdEf", "regent", ""} {
		if got, err := r.Read(t.Context(), tenant, name); err == nil || got != "" {
			t.Errorf("tenant %q reads it", tenant)
		}
	}
	if n := m.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestOtherReferences(t *testing.T) {
	m := start(t, replies(200, value(secret)))
	t.Setenv("ACME_SECRET", "from the environment")
	t.Setenv("BOLT_SECRET", secret)
	r := New()
	if got, err := read(t, r, "env:ACME_SECRET"); got != "from the environment" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, reference := range []string{
		"env:BOLT_SECRET", "file:/etc/passwd", "", secret, "arn:" + secret,
		strings.Replace(name, "eu-west-1", "evil.example/", 1), strings.Replace(name, "acme", "bolt", 1), name + ":key::",
	} {
		if got, err := read(t, r, reference); err == nil || got != "" {
			t.Errorf("%q is read", reference)
		}
	}
	if n := m.count(); n != 0 {
		t.Errorf("AWS is asked %d times", n)
	}
	if r.client != nil {
		t.Error("an AWS client was made for nothing")
	}
}

func TestTrouble(t *testing.T) {
	fails := func(status int, code string) http.HandlerFunc {
		return replies(status, fmt.Sprintf(`{"__type":%q,"message":"about %s"}`, code, secret))
	}
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  string
		// asked is how often AWS is asked.
		asked int
	}{
		{"throttled", fails(400, "ThrottlingException"), "answers ThrottlingException", attempts},
		{"500", fails(500, "InternalServiceError"), "answers InternalServiceError", attempts},
		{"503 of a proxy", replies(503, "<html>"+secret), "answer", attempts},
		{"no such secret", fails(400, "ResourceNotFoundException"), "has no such secret", 1},
		{"not allowed", fails(400, "AccessDeniedException"), "secretsmanager:GetSecretValue", 1},
		{"marked for deletion", fails(400, "InvalidRequestException"), "answers InvalidRequestException", 1},
		{"an error whose name is no name", fails(400, secret), "answers with an error", 1},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no usable answer", attempts},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "no usable answer", attempts},
		{"not JSON", replies(200, secret), "no usable answer", 1},
		{"JSON cut short", replies(200, value(secret)[:40]), "no usable answer", 1},
		{"not a string", replies(200, `{"SecretString":["`+secret+`"]}`), "no usable answer", 1},
		{"an array", replies(200, `["`+secret+`"]`), "no usable answer", 1},
		{"empty object", replies(200, `{}`), "is not text", 1},
		{"null", replies(200, `null`), "", 1},
		{"no body", replies(200, ``), "", 1},
		{"binary", replies(200, `{"SecretBinary":"czNjcjN0LWNhbmFyeQ=="}`), "is not text", 1},
		{"empty", replies(200, value("")), "1 to 512", 1},
		{"two lines", replies(200, value(secret+"\n")), "1 to 512", 1},
		{"too long", replies(200, value(strings.Repeat("canary", 100))), "1 to 512", 1},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/"+secret, http.StatusFound)
		}, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := start(t, tt.serve)
			r := New()
			began := time.Now()
			for range 3 { // the failure is kept for a moment
				if _, err := read(t, r, name); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("got %v, want %q", err, tt.want)
				}
			}
			if took := time.Since(began); took > budget+time.Second {
				t.Errorf("took %s", took)
			}
			if n := m.count(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// One bad attempt is not the end.
func TestSecondAttempt(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"throttled": replies(400, `{"__type":"ThrottlingException"}`),
		"500":       replies(500, `{}`),
		"cut":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := start(t, nil)
			m.set(func(w http.ResponseWriter, r *http.Request) {
				m.set(replies(200, value(secret)))
				first(w, r)
			})
			if got, err := read(t, New(), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/x"); got != secret || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// A secret is kept for five minutes, and a failure for five seconds.
func TestKept(t *testing.T) {
	m := start(t, replies(200, value(secret)))
	r := New()
	at := time.Now()
	r.now = func() time.Time { return at }
	expect := func(after time.Duration, want string, asked int) {
		t.Helper()
		at = at.Add(after)
		if got, _ := read(t, r, name); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := m.count(); n != asked {
			t.Errorf("asked %d times, want %d", n, asked)
		}
	}
	expect(0, secret, 1)
	m.set(replies(200, value("rotated")))
	expect(5*time.Minute-time.Second, secret, 1)
	expect(time.Second, "rotated", 2)
	m.set(replies(400, `{"__type":"AccessDeniedException"}`))
	expect(5*time.Minute, "", 3)
	m.set(replies(200, value(secret)))
	expect(4*time.Second, "", 3)
	expect(time.Second, secret, 4)
}

func TestKeptIsBounded(t *testing.T) {
	start(t, replies(200, value(secret)))
	r := New()
	for i := range maxKept + 50 {
		if _, err := read(t, r, fmt.Sprintf("%s%d", name, i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.kept.Len(); n != maxKept {
		t.Errorf("%d are kept", n)
	}
}

// Many who ask at once ask AWS once, and the first may leave.
func TestOneFlight(t *testing.T) {
	arrived, released := make(chan struct{}), make(chan struct{})
	m := start(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-released
		replies(200, value(secret))(w, r)
	})
	r := New()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := r.Read(ctx, "acme", name)
		left <- err
	}()
	<-arrived
	leave()
	if err := <-left; err == nil {
		t.Error("who left got an answer")
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := r.Read(t.Context(), "acme", name); got != secret || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	close(released)
	wg.Wait()
	if n := m.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A flight that was frozen with the function says nothing about now.
func TestFrozenFlight(t *testing.T) {
	arrived := make(chan struct{}, 10)
	m := start(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	r := New()
	var mu sync.Mutex
	at := time.Now()
	r.now = func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	left := make(chan error)
	go func() {
		_, err := r.Read(t.Context(), "acme", name)
		left <- err
	}()
	<-arrived
	mu.Lock()
	at = at.Add(time.Hour)
	mu.Unlock()
	<-arrived // the second attempt
	m.set(replies(200, value(secret)))
	if got, err := read(t, r, name); got != secret || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-left; err == nil {
		t.Error("who was frozen got an answer from nowhere")
	}
}

// Without credentials nothing is sent, and it is trouble in time.
func TestNoCredentials(t *testing.T) {
	m := start(t, replies(200, value(secret)))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err := read(t, New(), name); err == nil {
		t.Error("read without credentials")
	}
	if n := m.count(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestNoSecretInText holds that a reader prints nothing of what it has read (OPS-05).
func TestNoSecretInText(t *testing.T) {
	start(t, replies(200, value(secret)))
	r := New()
	if got, err := read(t, r, name); got != secret || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	kept, ok := r.kept.Get(name)
	if !ok {
		t.Fatal("nothing was kept")
	}
	for _, v := range []any{r, kept, &kept, []outcome{kept}} {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, asJSON, v, v); strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%T prints a secret: %s", v, text)
		}
	}
}
