//go:build unix

package identity

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"regent/tenants"
)

// TestFreeze stops a process that verifies, in the middle of a fetch, for longer
// than the fetch may take, as Lambda freezes a function between invocations. When it
// goes on, the next token is verified as if nothing had been.
func TestFreeze(t *testing.T) { // LAM-01, LAM-03
	t.Parallel()
	for path, body := range map[string]string{"/keys": allKeys(), "/introspect": `{"active":true}`} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			testFreeze(t, path, body)
		})
	}
}

func testFreeze(t *testing.T, path, body string) {
	s := newIDP(t)
	arrived, _ := s.hang(t, path)
	child := exec.Command(os.Args[0], "-test.run=^TestFreezeChild$", "-test.v")
	child.Env = append(os.Environ(), "REGENT_TEST_FREEZE="+s.URL, "REGENT_TEST_FREEZE_PATH="+path)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	answers := bufio.NewScanner(stdout)
	asked := 0
	ask := func() {
		asked++
		if path == "/keys" {
			fmt.Fprintln(stdin, fresh(time.Now(), "p256"))
		} else {
			fmt.Fprintf(stdin, "opaque-token-%d\n", asked)
		}
	}
	next := func() string {
		for answers.Scan() {
			if answer, ok := strings.CutPrefix(answers.Text(), "answer: "); ok {
				return answer
			}
		}
		t.Fatal("the child ended")
		return ""
	}
	freeze := func() {
		child.Process.Signal(syscall.SIGSTOP)
		<-time.After(totalBudget + time.Second) // the fetch's own deadline passes meanwhile
		s.CloseClientConnections()
		s.json(path, body)
		child.Process.Signal(syscall.SIGCONT)
	}
	ask()
	<-arrived
	freeze()
	if got := next(); !strings.HasPrefix(got, "trouble") {
		t.Errorf("the request that was frozen: %q", got)
	}
	// The provider is well: at the latest after the shortest back-off.
	deadline := time.Now().Add(firstRetry + time.Second)
	for {
		ask()
		if got := next(); got == "ok" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("still %q after %s", got, firstRetry)
		}
		<-time.After(50 * time.Millisecond)
	}
	// Frozen again while idle, every connection closed: no token is refused. An opaque
	// one is a new question.
	freeze()
	ask()
	if got := next(); got != "ok" {
		t.Errorf("after the second freeze: %q", got)
	}
}

// TestFreezeChild is the process that TestFreeze stops.
func TestFreezeChild(t *testing.T) {
	url, path := os.Getenv("REGENT_TEST_FREEZE"), os.Getenv("REGENT_TEST_FREEZE_PATH")
	if url == "" {
		t.Skip("only a part of TestFreeze")
	}
	v := newVerifier(Config{AllowPrivate: true, Secret: func(context.Context, string, string) (string, error) {
		return clientSecret, nil
	}}, newClock())
	// The parent's keys are not this process's: the set alone says what they are.
	tenant := tenantOf(byURL(url+path), tenants.Provider{Introspection: url + path, ClientID: "gateway", ClientSecret: "env:ACME_SECRET"})
	if path == "/keys" {
		tenant.Identity.Providers = tenant.Identity.Providers[:1]
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		_, err := v.Verify(t.Context(), tenant, lines.Text(), time.Now())
		if err == nil {
			fmt.Println("answer: ok")
		} else {
			fmt.Println("answer: " + describe(err))
		}
	}
}
