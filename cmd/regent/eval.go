package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"regent/cmd/internal/assemble"
	"regent/cmd/internal/config"
	"regent/cmd/internal/devissuer"
	"regent/engine"
	"regent/engine/identity"
	"regent/engine/rules"
	"regent/tenants"
	"regent/tenants/dynamo"
)

// evalFlags are the flags of `regent eval`.
type evalFlags struct {
	event     string
	explain   bool
	devIssuer bool
	now       string
}

func (c *cli) evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval -e EVENT.json",
		Short: "Decide one authorizer event with the real pipeline",
		Long: `Decides one event, of any of the five shapes that API Gateway sends, as the Lambda
function would, and shows the decision, its reasons and the reply. The exit status is
0 if the request is allowed, 1 if it is denied or not authorized, 2 for trouble.

Tokens are verified with the tenant's providers, over the network unless their keys
are inline. --dev-issuer trusts the workspace's development key in their place, as
regent serve does. With a table for a store it is the key of the workspace in the working
directory.`,
		Example: `  regent eval -e event.json --dev-issuer
  regent eval -e - --explain < event.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.event == "" {
				return usage(cmd, errors.New("-e is required: the event's file, or - for standard input"))
			}
			now, err := f.clock()
			if err != nil {
				return usage(cmd, err)
			}
			return c.eval(cmd, f, now)
		},
	}
	cmd.Flags().StringVarP(&f.event, "event", "e", "", "the event's file, or - for standard input (required)")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "show the input document and OPA's trace of the rules")
	cmd.Flags().BoolVar(&f.devIssuer, "dev-issuer", false, "trust the workspace's development key in place of the tenants' providers")
	cmd.Flags().StringVar(&f.now, "now", "", "decide as of this time, as RFC 3339 has it: 2026-03-01T12:00:00Z")
	return cmd
}

// clock is the time that the event is decided at.
func (f evalFlags) clock() (func() time.Time, error) {
	if f.now == "" {
		return time.Now, nil
	}
	at, err := time.Parse(time.RFC3339, f.now)
	if err != nil {
		return nil, fmt.Errorf("--now %q is not a time as RFC 3339 has it, such as 2026-03-01T12:00:00Z", f.now)
	}
	return func() time.Time { return at }, nil
}

// patience is what an evaluation may take here unless REGENT_EVAL_TIMEOUT says
// otherwise. The function's own limit is for a machine that does nothing else.
const patience = time.Second

// settings reads the REGENT_ variables that bear on decisions, as strictly as the
// function does.
func settings(path string) (config.Config, error) { return settingsWith("dir:" + path) }

// settingsWith is settings for a store as --store names it.
func settingsWith(store string) (config.Config, error) {
	environ := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, storeVariable+"=") })
	conf, err := config.FromEnviron(append(environ, storeVariable+"="+store))
	if err != nil {
		return conf, &failure{err: err, hints: []string{"these are settings of the function, which decisions here follow"}}
	}
	if os.Getenv("REGENT_EVAL_TIMEOUT") == "" {
		conf.EvalTimeout = patience
	}
	return conf, nil
}

// maxEvent bounds what is read as an event, in bytes: Lambda takes no more.
const maxEvent = 6 << 20

func (c *cli) readEvent(name string) ([]byte, error) {
	in := c.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &failure{err: fmt.Errorf("read event: %w", err), hints: []string{"-e takes a file, or - for standard input"}}
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if len(text) > maxEvent {
		return nil, fmt.Errorf("read event: more than %d bytes", maxEvent)
	}
	return text, nil
}

func (c *cli) eval(cmd *cobra.Command, f evalFlags, now func() time.Time) error {
	event, err := c.readEvent(f.event)
	if err != nil {
		return err
	}
	named, err := c.storeNamed()
	if err != nil {
		return err
	}
	path := "." // of the workspace whose development key may count
	if named.Scheme == config.SchemeDir {
		path = named.Name
	}
	read, err := c.reader(cmd)
	if err != nil {
		return err
	}
	conf, err := settingsWith(named.String())
	if err != nil {
		return err
	}
	var store tenants.Store = read
	if f.devIssuer {
		issuer, err := loadDevIssuer(path)
		if err != nil {
			return err
		}
		store = devStore{read, issuer}
	}
	authorizer, err := assemble.Authorizer(assemble.Parts{
		Store: store, AllowPrivate: conf.AllowPrivate, EvalTimeout: conf.EvalTimeout, InProcess: conf.InProcess,
		Log: func(engine.Record) {}, Now: now,
	})
	if err != nil {
		return err
	}
	defer assemble.Close(authorizer)
	out := authorizer.Explain(cmd.Context(), event)
	v := newVerdict(out)
	if f.explain && v.Input != nil {
		v.Trace = trace(cmd.Context(), read, v, out, now())
	}
	if c.json {
		err = c.out.json(v)
	} else {
		c.showVerdict(v, f)
	}
	if _, missing := os.Stat(keyFile(path)); v.Code == identity.CodeProvider && !f.devIssuer && missing == nil {
		c.hint("--dev-issuer trusts the tokens of regent token, without asking the tenant's providers")
	}
	var eval *rules.EvalError
	if errors.As(out.Err, &eval) && endings(conf.EvalTimeout)[eval.Code] != "" {
		c.hint(endedHint(eval.Code))
	}
	var table *dynamo.Error
	if errors.As(out.Err, &table) && table.Hint != "" {
		c.hint(table.Hint)
	}
	if err == nil && v.status() != exitOK {
		err = exitStatus(v.status())
	}
	return err
}

// loadDevIssuer is the workspace's development issuer, which must be there: without a
// key there is no token to be trusted.
func loadDevIssuer(path string) (*devissuer.Issuer, error) {
	if _, err := os.Stat(keyFile(path)); errors.Is(err, os.ErrNotExist) {
		return nil, &failure{
			err:   fmt.Errorf("the workspace has no development key: there is no %s", filepath.Join(privateDir, "dev-key.json")),
			hints: []string{"regent token and regent serve make one"},
		}
	}
	return devissuer.Load(keyFile(path))
}

// verdict is what `regent eval` shows. Its JSON form is stable.
type verdict struct {
	// Outcome is allow, deny, unauthorized or trouble.
	Outcome string   `json:"outcome"`
	Code    string   `json:"code"`
	Reasons []string `json:"reasons"`
	// Error is what API Gateway gets in place of a reply, and Detail the reason.
	Error  string `json:"error,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Reply is what API Gateway gets.
	Reply json.RawMessage `json:"reply,omitempty"`
	// Input is what the rules were asked with.
	Input *engine.Input `json:"input,omitempty"`
	// Log is the decision-log entry.
	Log   engine.Record `json:"log"`
	Trace string        `json:"trace,omitempty"`
}

func newVerdict(out engine.Outcome) verdict {
	v := verdict{
		Outcome: out.Record.Result.Outcome, Code: out.Record.Result.Code,
		Reasons: append([]string{}, out.Record.Result.Reasons...),
		Reply:   out.Reply, Input: out.Input, Log: out.Record,
	}
	if out.Err != nil {
		v.Error, v.Detail = out.Err.Error(), cause(out)
	}
	return v
}

func (v verdict) status() int {
	switch v.Outcome {
	case "allow":
		return exitOK
	case "deny", "unauthorized":
		return exitNo
	default:
		return exitTrouble
	}
}

func (c *cli) showVerdict(v verdict, f evalFlags) {
	color := map[string]style{"allow": green, "deny": red, "unauthorized": yellow}[v.Outcome]
	if color == plain {
		color = red
	}
	c.out.line(c.out.paint(color, strings.ToUpper(v.Outcome)) + "  " + printable(v.why()))
	in := v.Log.Input
	if in != nil {
		rows := [][]cell{
			{{"  request", dim}, {text: printable(strings.TrimSpace(in.Method + " " + in.Path))}},
			{{"  api", dim}, {text: fmt.Sprintf("%s, stage %s, %s event", in.API.ID, in.API.Stage, in.Shape)}},
		}
		if in.Route != "" {
			rows = append(rows, []cell{{"  route", dim}, {text: printable(in.Route)}})
		}
		if in.Tenant != "" {
			rows = append(rows, []cell{{"  tenant", dim}, {text: in.Tenant}})
		}
		if v.Input != nil {
			rows = append(rows, []cell{{"  caller", dim}, {text: printable(caller(v.Input.Identity))}})
		}
		c.out.table(rows)
	}
	for _, l := range v.Log.Incomplete {
		c.warn("this reply, which may be cached, grants less than the rules do: %s", limitText(l))
	}
	if len(v.Reply) > 0 {
		c.out.line(c.out.paint(dim, "reply"))
		c.out.line(indented(v.Reply))
	}
	if f.explain && v.Input != nil {
		text, _ := json.Marshal(v.Input) // of strings and JSON values
		c.out.line(c.out.paint(dim, "input"))
		c.out.line(indented(text))
		c.out.line(c.out.paint(dim, "trace"))
		c.out.line(printable(strings.TrimSuffix(v.Trace, "\n")))
	}
}

// why is the reason in a line.
func (v verdict) why() string {
	return reason(v.Outcome, v.Code, v.Reasons, v.Detail)
}

// reason puts what the decision log has of a decision in words.
func reason(outcome, code string, reasons []string, detail string) string {
	switch {
	case outcome == "allow":
		return "the rules allow it"
	case outcome == "unauthorized":
		return code + ": " + detail + " (API Gateway answers 401)"
	case outcome != "deny":
		return code + ": " + detail + " (API Gateway answers 500)"
	case code == "policy" && len(reasons) == 0:
		return "no rule allows it"
	case code == "policy":
		return strings.Join(reasons, "; ")
	case code == engine.CodeIncomplete:
		return code + ": the rules allow it, but no reply for its cache key can say so"
	default:
		return code + ": " + strings.Join(reasons, "; ")
	}
}

func caller(id engine.Identity) string {
	if id.Kind == engine.Anonymous {
		return "anonymous"
	}
	return fmt.Sprintf("%s, %s of %s", id.Subject, id.Kind, id.Issuer)
}

func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return printable(string(text))
	}
	return printable(b.String())
}
