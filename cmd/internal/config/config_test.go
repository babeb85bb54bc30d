package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regent/cmd/internal/config"
)

func TestFromEnviron(t *testing.T) {
	t.Parallel()
	store := config.Store{Scheme: "dir", Name: "workspace"}
	tests := []struct {
		name    string
		environ []string
		want    config.Config
	}{
		{
			name:    "defaults",
			environ: []string{"REGENT_STORE=dir:workspace", "PATH=/bin", "AWS_REGION=eu-west-1", "XREGENT_Y=1"},
			want:    config.Config{Store: store, EvalTimeout: 50 * time.Millisecond},
		},
		{
			name: "everything",
			environ: []string{
				"REGENT_STORE=dir:workspace", "REGENT_EVAL_TIMEOUT=80ms", "REGENT_ALLOW_PRIVATE_PROVIDERS=true",
				"REGENT_LOG_LEVEL=debug", "REGENT_ISOLATION=none",
			},
			want: config.Config{Store: store, EvalTimeout: 80 * time.Millisecond, AllowPrivate: true, InProcess: true, LogLevel: slog.LevelDebug},
		},
		{
			name:    "private providers refused in so many words",
			environ: []string{"REGENT_STORE=dir:workspace", "REGENT_ALLOW_PRIVATE_PROVIDERS=false", "REGENT_LOG_LEVEL=error", "REGENT_ISOLATION=process"},
			want:    config.Config{Store: store, EvalTimeout: 50 * time.Millisecond, LogLevel: slog.LevelError},
		},
		{
			name:    "a path with colons",
			environ: []string{"REGENT_STORE=dir:/srv/a:b"},
			want:    config.Config{Store: config.Store{Scheme: "dir", Name: "/srv/a:b"}, EvalTimeout: 50 * time.Millisecond},
		},
		{
			name:    "a table",
			environ: []string{"REGENT_STORE=dynamodb:regent-prod_1.2"},
			want: config.Config{
				Store: config.Store{Scheme: "dynamodb", Name: "regent-prod_1.2"}, EvalTimeout: 50 * time.Millisecond,
				Refresh: 10 * time.Second, MustRefresh: time.Minute, MaxStale: time.Hour,
			},
		},
		{
			name:    "the ladder, in any order",
			environ: []string{"REGENT_MAX_STALE=15m", "REGENT_REFRESH=5s", "REGENT_STORE=dynamodb:regent", "REGENT_MUST_REFRESH=30s"},
			want: config.Config{
				Store: config.Store{Scheme: "dynamodb", Name: "regent"}, EvalTimeout: 50 * time.Millisecond,
				Refresh: 5 * time.Second, MustRefresh: 30 * time.Second, MaxStale: 15 * time.Minute,
			},
		},
		{
			name:    "defaults follow what is above them",
			environ: []string{"REGENT_STORE=dynamodb:regent", "REGENT_REFRESH=5m"},
			want: config.Config{
				Store: config.Store{Scheme: "dynamodb", Name: "regent"}, EvalTimeout: 50 * time.Millisecond,
				Refresh: 5 * time.Minute, MustRefresh: 5 * time.Minute, MaxStale: time.Hour,
			},
		},
		{
			name:    "one age for all",
			environ: []string{"REGENT_STORE=dynamodb:regent", "REGENT_REFRESH=1m", "REGENT_MAX_STALE=1m"},
			want: config.Config{
				Store: config.Store{Scheme: "dynamodb", Name: "regent"}, EvalTimeout: 50 * time.Millisecond,
				Refresh: time.Minute, MustRefresh: time.Minute, MaxStale: time.Minute,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.FromEnviron(tt.environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFromEnvironRefuses(t *testing.T) {
	t.Parallel()
	const dir, table = "REGENT_STORE=dir:workspace", "REGENT_STORE=dynamodb:regent"
	tests := []struct {
		name    string
		environ []string
		want    []string
	}{
		{"no store", nil, []string{"REGENT_STORE is not set: set it to dir:PATH"}},
		{"empty", []string{"REGENT_STORE="}, []string{"REGENT_STORE is empty"}},
		{"unknown store", []string{"REGENT_STORE=s3:bucket"}, []string{`"s3:bucket" is not a store that this build knows: use dir:PATH`}},
		{"no scheme", []string{"REGENT_STORE=workspace"}, []string{"use dir:PATH"}},
		{"no directory", []string{"REGENT_STORE=dir:"}, []string{"names no directory"}},
		{"no table", []string{"REGENT_STORE=dynamodb:"}, []string{`"dynamodb:" names no table`}},
		{"no name of a table", []string{"REGENT_STORE=dynamodb:a table"}, []string{"names no table: its name has 3 to 255"}},
		{"misspelt", []string{dir, "REGENT_EVAL_TIME=1s"}, []string{"REGENT_EVAL_TIME is not a setting: did you mean REGENT_EVAL_TIMEOUT?"}},
		{"lower case", []string{dir, "REGENT_log_level=debug"}, []string{"did you mean REGENT_LOG_LEVEL?"}},
		{"no duration", []string{dir, "REGENT_EVAL_TIMEOUT=50"}, []string{`REGENT_EVAL_TIMEOUT: "50" is not a duration such as 50ms`}},
		{"no time at all", []string{dir, "REGENT_EVAL_TIMEOUT=0s"}, []string{"0s is not from 1ms to 5s"}},
		{"too much time", []string{dir, "REGENT_EVAL_TIMEOUT=1m"}, []string{"1m0s is not from 1ms to 5s"}},
		{"no boolean", []string{dir, "REGENT_ALLOW_PRIVATE_PROVIDERS=1"}, []string{`"1" is neither true nor false`}},
		{"no level", []string{dir, "REGENT_LOG_LEVEL=INFO"}, []string{`"INFO" is not a level`}},
		{"no isolation known", []string{dir, "REGENT_ISOLATION=vm"}, []string{`"vm" is neither process nor none`}},
		{"a setting that does nothing", []string{dir, "REGENT_REFRESH=10s"}, []string{"REGENT_REFRESH: does nothing with a dir: store"}},
		{"less than nothing", []string{table, "REGENT_REFRESH=-1s"}, []string{"REGENT_REFRESH: -1s is not from 1s to 10m0s"}},
		{"refresh too long", []string{table, "REGENT_REFRESH=11m"}, []string{"REGENT_REFRESH: 11m0s is not from 1s to 10m0s"}},
		{"no age", []string{table, "REGENT_MUST_REFRESH=60"}, []string{`REGENT_MUST_REFRESH: "60" is not a duration such as 30s`}},
		{"stale for ever", []string{table, "REGENT_MAX_STALE=25h"}, []string{"REGENT_MAX_STALE: 25h0m0s is not from 1s to 24h0m0s"}},
		{"a ladder upside down", []string{table, "REGENT_REFRESH=2m", "REGENT_MUST_REFRESH=1m"},
			[]string{"REGENT_MUST_REFRESH: 1m0s is less than the 2m0s of REGENT_REFRESH"}},
		{"max stale below the default of must refresh", []string{table, "REGENT_MAX_STALE=30s"},
			[]string{"REGENT_MAX_STALE: 30s is less than the 1m0s of REGENT_MUST_REFRESH"}},
		{"all of it at once", []string{"REGENT_LOG_LEVEL=x", "REGENT_X=1", "REGENT_MAX_STALE=1h", "REGENT_MUST_REFRESH=1m"},
			[]string{"REGENT_LOG_LEVEL", "REGENT_X is not", "REGENT_STORE is not set"}},
		{"two settings that do nothing", []string{"REGENT_MAX_STALE=1h", dir, "REGENT_MUST_REFRESH=1m"},
			[]string{"REGENT_MAX_STALE: does", "REGENT_MUST_REFRESH: does"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.FromEnviron(tt.environ)
			if err == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if got != (config.Config{}) {
				t.Errorf("a configuration came with the error: %+v", got)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestUnknownValuesStayUnsaid(t *testing.T) {
	t.Parallel()
	_, err := config.FromEnviron([]string{"REGENT_STORE=dir:x", "REGENT_CLIENT_SECRET=canary"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

// TestNoSecretInText holds that a configuration has nothing of the variables that it
// does not know, however it is printed (OPS-05).
func TestNoSecretInText(t *testing.T) {
	t.Parallel()
	environ := []string{
		"AWS_SECRET_ACCESS_KEY=canary", "AWS_SESSION_TOKEN=canary", "ACME_CLIENT_SECRET=canary", "REGENT_STORE=dynamodb:regent",
	}
	c, err := config.FromEnviron(environ)
	if err != nil {
		t.Fatal(err)
	}
	_, refused := config.FromEnviron(append(environ, "REGENT_SECRET=canary"))
	if refused == nil {
		t.Fatal("a setting that nobody knows was taken")
	}
	for _, v := range []any{c, &c, refused} {
		asJSON, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", v, v, v, asJSON); strings.Contains(text, "canary") {
			t.Errorf("%T prints a secret: %s", v, text)
		}
	}
}
