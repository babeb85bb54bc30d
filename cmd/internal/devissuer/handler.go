package devissuer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Handler serves the public documents of an issuer URL: the discovery document at
// ISSUER/.well-known/openid-configuration and the key set at ISSUER/jwks.json. It
// answers by path alone, so an issuer URL with a path can share a listener with
// others. Everything else is 404.
//
// The URL must be http or https, without query, fragment and trailing slash: it is
// repeated in the documents byte for byte, and tokens must carry it likewise.
func (is *Issuer) Handler(issuer string) (http.Handler, error) {
	u, err := url.Parse(issuer)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(issuer, "/") {
		return nil, fmt.Errorf("issuer %q: want http(s)://HOST[/PATH] without query, fragment and trailing slash", issuer)
	}
	// OIDC Discovery §3 asks for authorization_endpoint and so on; there is nothing
	// to authorize here, and a made-up address would only mislead.
	documents := map[string][]byte{
		u.Path + "/.well-known/openid-configuration": mustJSON(map[string]any{
			"issuer":                                issuer,
			"jwks_uri":                              issuer + "/jwks.json",
			"response_types_supported":              []string{"none"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{algorithm},
		}),
		u.Path + "/jwks.json": is.JWKS(),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, ok := documents[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			// An error here means that the client is gone.
			_, _ = w.Write(document)
		}
	}), nil
}
