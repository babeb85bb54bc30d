package iam_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regent/engine/iam"
)

func TestParseARN(t *testing.T) {
	t.Parallel()
	base := iam.ARN{Partition: "aws", Region: "eu-west-1", Account: "123456789012", API: "a1b2c3", Stage: "prod", Method: "GET"}
	with := func(change func(*iam.ARN)) iam.ARN {
		a := base
		change(&a)
		return a
	}
	const prefix = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/"
	tests := []struct {
		name string
		arn  string
		want iam.ARN
		text string // what String returns, if not arn
	}{
		{name: "path", arn: prefix + "prod/GET/orders/17", want: with(func(a *iam.ARN) { a.Path = "orders/17" })},
		{name: "root", arn: prefix + "prod/GET/", want: base},
		{name: "no path", arn: prefix + "prod/GET", want: base, text: prefix + "prod/GET/"},
		{name: "websocket", arn: prefix + "prod/$connect", want: with(func(a *iam.ARN) { a.Method = "$connect" })},
		{name: "default stage", arn: prefix + "$default/GET/x", want: with(func(a *iam.ARN) { a.Stage, a.Path = "$default", "x" })},
		{name: "test invoke", arn: prefix + "ESTestInvoke-stage/GET/", want: with(func(a *iam.ARN) { a.Stage = "ESTestInvoke-stage" })},
		{name: "colons in path", arn: prefix + "prod/GET/urn:a:b/c:d", want: with(func(a *iam.ARN) { a.Path = "urn:a:b/c:d" })},
		{name: "slashes in path", arn: prefix + "prod/GET//a//b/", want: with(func(a *iam.ARN) { a.Path = "/a//b/" })},
		{name: "percent in path", arn: prefix + "prod/GET/a%2Fb", want: with(func(a *iam.ARN) { a.Path = "a%2Fb" })},
		{
			name: "china", arn: "arn:aws-cn:execute-api:cn-north-1:123456789012:a1b2c3/prod/GET/x",
			want: with(func(a *iam.ARN) { a.Partition, a.Region, a.Path = "aws-cn", "cn-north-1", "x" }),
		},
		{
			name: "govcloud", arn: "arn:aws-us-gov:execute-api:us-gov-west-1:123456789012:a1b2c3/prod/GET/x",
			want: with(func(a *iam.ARN) { a.Partition, a.Region, a.Path = "aws-us-gov", "us-gov-west-1", "x" }),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := iam.ParseARN(tt.arn)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseARN (-want +got):\n%s", diff)
			}
			want := tt.text
			if want == "" {
				want = tt.arn
			}
			if got.String() != want {
				t.Errorf("String() = %s, want %s", got, want)
			}
		})
	}
}

func TestParseARNRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		arn  string
		want string // in the error
	}{
		{"empty", "", "is not an ARN"},
		{"not an ARN", "urn:aws:execute-api:r:a:api/s/GET/", "is not an ARN"},
		{"too few parts", "arn:aws:execute-api:eu-west-1:123456789012", "is not an ARN"},
		{"other service", "arn:aws:lambda:eu-west-1:123456789012:api/s/GET/", "want execute-api"},
		{"authorizer ARN", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/authorizers", "API/STAGE/METHOD/PATH"},
		{"empty partition", "arn::execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/", "partition"},
		{"empty region", "arn:aws:execute-api::123456789012:a1b2c3/prod/GET/", "region"},
		{"empty account", "arn:aws:execute-api:eu-west-1::a1b2c3/prod/GET/", "account"},
		{"empty API", "arn:aws:execute-api:eu-west-1:123456789012:/prod/GET/", "API"},
		{"empty stage", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3//GET/x", "stage"},
		{"empty method", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod//x", "method"},
		{"wildcard API", "arn:aws:execute-api:eu-west-1:123456789012:*/prod/GET/x", "API"},
		{"wildcard stage", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/*/GET/x", "stage"},
		{"wildcard method", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/G?T/x", "method"},
		{"variable", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/${x}/GET/x", "stage"},
		{"path behind $connect", "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/$connect/x", "$connect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := iam.ParseARN(tt.arn)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseARN = %+v, %v; want an error with %q", got, err, tt.want)
			}
			if got != (iam.ARN{}) {
				t.Errorf("ParseARN returned %+v with an error", got)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	arn, err := iam.ParseARN("arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders/17")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, got, want string }{
		{"stage", arn.StagePattern(), "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/*"},
		{"path", arn.Pattern("POST", "orders/*"), "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/POST/orders/*"},
		{"root", arn.Pattern("POST", ""), "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/POST/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.got != tt.want {
				t.Errorf("got %s, want %s", tt.got, tt.want)
			}
		})
	}
}

func FuzzParseARN(f *testing.F) {
	for _, s := range []string{
		"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET/orders/17",
		"arn:aws-cn:execute-api:cn-north-1:123456789012:a1b2c3/$default/GET/a:b//c/",
		"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/$connect",
		"arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/GET",
		"arn:aws:execute-api:*:*:*",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		arn, err := iam.ParseARN(s)
		if err != nil {
			return
		}
		text := arn.String()
		if text != s && text != s+"/" {
			t.Errorf("String() = %q, parsed from %q", text, s)
		}
		again, err := iam.ParseARN(text)
		if err != nil || again != arn {
			t.Errorf("ParseARN(%q) = %+v, %v; want %+v", text, again, err, arn)
		}
		// Only the path may bring wildcards into a pattern.
		stage := arn.StagePattern()
		if strings.Count(stage, "*") != 1 || strings.ContainsAny(stage, "?{}") || !iam.Match(stage, text) {
			t.Errorf("StagePattern() = %q for %q", stage, text)
		}
	})
}
