package identity

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"regent/tenants"
)

const (
	maxAudiences = 50
	maxDate      = 1 << 53 // seconds; past it, float64 readers disagree
)

// validity is the time in which a proof holds, without leeway.
type validity struct {
	expires   time.Time // zero for none, which only introspection may say
	notBefore time.Time // the later of nbf and iat; zero for none
}

// check reports whether a proof holds at an instant. exp itself is no longer in
// the validity; nbf and iat are.
func (v validity) check(now time.Time, leeway time.Duration) error {
	if !v.expires.IsZero() && !v.expires.After(now.Add(-leeway)) {
		return refuse(CodeTokenExpired, "exp has passed")
	}
	if v.notBefore.After(now.Add(leeway)) {
		return refuse(CodeTokenNotYetValid, "nbf or iat is in the future")
	}
	return nil
}

// leeway is the provider's leeway within its bounds.
func leeway(p tenants.Provider) time.Duration {
	if p.Leeway == 0 {
		return tenants.DefaultLeeway
	}
	return min(max(p.Leeway, 0), tenants.MaxLeeway)
}

// readValidity reads exp, nbf and iat and holds the lifetime to a limit, if there
// is one.
func readValidity(claims map[string]any, limit time.Duration) (v validity, err error) {
	var iat time.Time
	for name, into := range map[string]*time.Time{"exp": &v.expires, "nbf": &v.notBefore, "iat": &iat} {
		claim, there := claims[name]
		if !there {
			continue
		}
		t, ok := numericDate(claim)
		if !ok || (name == "exp" && !t.After(time.Unix(0, 0))) {
			return v, refuse(CodeClaimMalformed, name+" is not a NumericDate")
		}
		*into = t
	}
	if limit > 0 && (v.expires.IsZero() || iat.IsZero() || v.expires.Sub(iat) > limit) {
		return v, refuse(CodeTokenLifetime, "exp is more than the longest lifetime after iat, or one of them is absent")
	}
	if iat.After(v.notBefore) {
		v.notBefore = iat
	}
	return v, nil
}

// numericDate reads seconds since 1970 (RFC 7519 §2), whole or decimal, from 0 to
// 2^53. Fractions below a nanosecond are cut off.
func numericDate(claim any) (time.Time, bool) {
	n, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	if seconds, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return time.Unix(seconds, 0), 0 <= seconds && seconds < maxDate
	}
	exact, ok := new(big.Rat).SetString(n.String())
	if !ok || exact.Sign() < 0 || exact.Cmp(new(big.Rat).SetInt64(maxDate)) >= 0 {
		return time.Time{}, false
	}
	nanos := new(big.Int).Mul(exact.Num(), big.NewInt(int64(time.Second)))
	nanos.Quo(nanos, exact.Denom())
	seconds, rest := nanos.QuoRem(nanos, big.NewInt(int64(time.Second)), new(big.Int))
	return time.Unix(seconds.Int64(), rest.Int64()), true
}

// isAudience reports whether aud (a string, or an array of at most 50) names one of
// the audiences. An aud of any other form names nobody.
func isAudience(aud any, audiences []string) bool {
	switch aud := aud.(type) {
	case string:
		return aud != "" && slices.Contains(audiences, aud)
	case []any:
		if len(aud) > maxAudiences {
			return false
		}
		named := false
		for _, a := range aud {
			s, ok := a.(string)
			if !ok {
				return false
			}
			named = named || (s != "" && slices.Contains(audiences, s))
		}
		return named
	default:
		return false
	}
}

// checkKind refuses tokens that were made for something other than calling an API:
// ID tokens (OpenID Connect; token_use is Cognito's word, the claim typ Keycloak's)
// and the security events of RFC 8417, logout tokens among them.
func checkKind(claims map[string]any) error {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if _, there := claims[name]; there {
			return refuse(CodeTokenTypeRefused, "not an access token: it has "+name)
		}
	}
	if use, there := claims["token_use"]; there && use != "access" {
		return refuse(CodeTokenTypeRefused, "not an access token: token_use says so")
	}
	if typ := claims["typ"]; typ == "ID" || typ == "Refresh" || typ == "Offline" {
		return refuse(CodeTokenTypeRefused, "not an access token: the claim typ says so")
	}
	return nil
}

// checkBinding compares the claims that the provider must have said with those it
// said.
func checkBinding(want, got map[string]any) error {
	for name, w := range want {
		if g, there := got[name]; !there || !equalJSON(w, g) {
			return refuse(CodeClaimMismatch, "the claim "+strconv.Quote(name)+" is not what the provider's configuration binds it to")
		}
	}
	return nil
}

// equalJSON compares a configured value with a received one: numbers by value,
// arrays in order, everything else exactly, nothing across types.
func equalJSON(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(w) != len(g) {
			return false
		}
		for name, v := range w {
			if gv, there := g[name]; !there || !equalJSON(v, gv) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, equalJSON)
	case string, bool, nil:
		return want == got
	default:
		w1, ok1 := rational(want)
		g1, ok2 := rational(got)
		return ok1 && ok2 && w1.Cmp(g1) == 0
	}
}

// rational returns the value of a number as any of the loaders may have read it.
func rational(v any) (*big.Rat, bool) {
	switch n := v.(type) {
	case json.Number:
		// The exponent is bounded before big.Rat writes it out.
		if f, err := n.Float64(); err != nil || (f == 0 && strings.ContainsAny(n.String(), "123456789")) {
			return nil, false
		}
		return new(big.Rat).SetString(n.String())
	case int:
		return new(big.Rat).SetInt64(int64(n)), true
	case int64:
		return new(big.Rat).SetInt64(n), true
	case uint64:
		return new(big.Rat).SetUint64(n), true
	case float64:
		r := new(big.Rat).SetFloat64(n) // nil unless finite
		return r, r != nil
	default:
		return nil, false
	}
}

// readSubject returns sub; a token without one has an empty subject.
func readSubject(claims map[string]any) (string, error) {
	sub, there := claims["sub"]
	s, ok := sub.(string)
	if there && !ok {
		return "", refuse(CodeClaimMalformed, "sub is not a string")
	}
	return s, nil
}

// readScopes returns the scopes: scope, or else scp, each a string with single
// spaces between them (RFC 6749 §3.3) or an array.
func readScopes(claims map[string]any) ([]string, error) {
	claim, there := claims["scope"]
	if !there {
		claim, there = claims["scp"]
	}
	if !there || claim == "" {
		return nil, nil
	}
	var scopes []string
	switch c := claim.(type) {
	case string:
		scopes = strings.Split(c, " ")
	case []any:
		for _, v := range c {
			s, _ := v.(string)
			scopes = append(scopes, s)
		}
	}
	if scopes == nil && !isEmptyArray(claim) || slices.ContainsFunc(scopes, notScope) {
		return nil, refuse(CodeClaimMalformed, "scope is not a list of scopes with single spaces between them")
	}
	return scopes, nil
}

func isEmptyArray(v any) bool {
	a, ok := v.([]any)
	return ok && len(a) == 0
}

// notScope is the complement of RFC 6749's scope-token.
func notScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return true
		}
	}
	return s == ""
}
