package gateway

import (
	"testing"

	"regent/tenants"
)

// TestCacheKey holds that a key belongs to one API, one stage and one list of values.
func TestCacheKey(t *testing.T) {
	t.Parallel()
	parts := []struct {
		api, stage string
		values     []string
	}{
		{"a", "s", []string{"x"}},
		{"b", "s", []string{"x"}},
		{"a", "t", []string{"x"}},
		{"as", "", []string{"x"}},
		{"a", "s", []string{"y"}},
		{"a", "s", []string{"x", "y"}},
		{"a", "s", []string{"xy"}},
		{"a", "s", []string{"x1:y"}},
		{"a", "s", []string{"", "x"}},
		{"a", "s", []string{"x", ""}},
		{"a", "s", nil},
	}
	seen := map[string]int{}
	for i, p := range parts {
		h := &Handler{api: tenants.API{ID: p.api}, o: Options{Stage: p.stage}}
		key := h.cacheKey(p.values)
		if before, ok := seen[key]; ok {
			t.Errorf("%v and %v have the key %q", parts[before], p, key)
		}
		seen[key] = i
	}
}

// TestOutcomesHaveAnswers holds that every outcome that refuses has an answer for each
// kind of API that can have it, and that none of them is a success.
func TestOutcomesHaveAnswers(t *testing.T) {
	t.Parallel()
	for _, o := range []Outcome{
		ExplicitDeny, ImplicitDeny, Unauthorized, SourceMissing, AuthorizerFailed, ReplyMalformed, NoRoute,
		UpgradeRequired, BadRequest, HeadersTooLarge, ARNTooLong, BodyTooLarge, ContextUnusable, UpstreamFailed, UpstreamTimeout,
	} {
		a, ok := answers[o]
		restOnly := o == UpgradeRequired || o == ARNTooLong
		if !ok || a.rest.status < 400 || (a.http.status < 400 && !restOnly) {
			t.Errorf("%s: %+v", o, a)
		}
	}
	if len(answers) != 15 {
		t.Errorf("%d answers: add the new outcome to this test", len(answers))
	}
}
