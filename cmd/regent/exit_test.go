package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestExitStatus holds the exit statuses, which scripts of others rely on: 0 for ok or
// allowed, 1 for denied or failed, 2 for wrong usage or trouble. Errors go to standard
// error, and nothing else goes to standard output with them.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shop")
	call := func(stdin string, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	if status, _, stderr := call("", "init", dir); status != exitOK {
		t.Fatalf("init: status %d: %s", status, stderr)
	}
	store := "--store=dir:" + dir
	_, greeter, _ := call("", "token", store, "--tenant", "acme", "--claim", `roles=["greeter"]`)
	event := func(method, token string) string {
		return `{"version":"2.0","type":"REQUEST","routeArn":"arn:aws:execute-api:eu-west-1:123456789012:d4e5f6/$default/` + method + `/catalog",
		"routeKey":"` + method + ` /catalog","rawPath":"/catalog","rawQueryString":"","headers":{"host":"globex.localhost"` + token + `},
		"requestContext":{"accountId":"123456789012","apiId":"d4e5f6","http":{"method":"` + method + `","path":"/catalog","protocol":"HTTP/1.1","sourceIp":"203.0.113.7"},"requestId":"r","routeKey":"` + method + ` /catalog","stage":"$default"}}`
	}
	tests := []struct {
		name  string
		args  []string
		stdin string
		want  int
	}{
		{"no verb", nil, "", exitTrouble},
		{"unknown verb", []string{"srve"}, "", exitTrouble},
		{"unknown flag", []string{"check", "--nope"}, "", exitTrouble},
		{"help", []string{"--help"}, "", exitOK},
		{"version", []string{"version"}, "", exitOK},
		{"init refuses", []string{"init", dir}, "", exitTrouble},
		{"check", []string{"check", dir}, "", exitOK},
		{"check fails", []string{"check", "testdata/broken"}, "", exitNo},
		{"check nowhere", []string{"check", dir + "/lib"}, "", exitTrouble},
		{"test", []string{"test", dir, "--tenant", "acme"}, "", exitOK},
		{"test fails", []string{"test", dir, "--run", "none"}, "", exitNo},
		{"test does not compile", []string{"test", "testdata/broken"}, "", exitTrouble},
		{"token", []string{"token", store, "--tenant", "acme"}, "", exitOK},
		{"token for nobody", []string{"token", store, "--tenant", "x"}, "", exitTrouble},
		{"eval allow", []string{"eval", store, "--dev-issuer", "-e", "-"}, event("GET", ""), exitOK},
		{"eval deny", []string{"eval", store, "--dev-issuer", "-e", "-"}, event("POST", ""), exitNo},
		{"eval deny as JSON", []string{"eval", store, "--dev-issuer", "--json", "-e", "-"}, event("POST", ""), exitNo},
		{"eval unauthorized", []string{"eval", store, "--dev-issuer", "-e", "-"}, event("GET", `,"authorization":"Bearer x"`), exitNo},
		{"eval another tenant's token", []string{"eval", store, "--dev-issuer", "-e", "-"}, event("GET", `,"authorization":"Bearer `+strings.TrimSpace(greeter)+`"`), exitNo},
		{"eval trouble", []string{"eval", store, "--dev-issuer", "-e", "-"}, "{}", exitTrouble},
		{"serve nowhere", []string{"serve", dir + "/lib"}, "", exitTrouble},
		{"demo", []string{"demo"}, "", exitOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := call(tt.stdin, tt.args...)
			if status != tt.want {
				t.Errorf("status %d, want %d\n%s%s", status, tt.want, stdout, stderr)
			}
			if strings.Contains(stdout, "error:") {
				t.Errorf("an error on standard output: %s", stdout)
			}
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("colour without a terminal: %q", stdout+stderr)
			}
		})
	}
}
