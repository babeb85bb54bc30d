package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"regent/tenants"
)

// urlCase is one entry of testdata/identity/urls.yaml, which explains the fields.
type urlCase struct {
	URL  string `yaml:"url"`
	Want string `yaml:"want"`
}

func TestCheckURL(t *testing.T) { // NET-01
	t.Parallel()
	cases := loadCases(t, "urls.yaml", func(c urlCase) string { return c.URL })
	cases = append(cases, urlCase{URL: "https://idp.acme.example/" + strings.Repeat("p", 512), Want: "never"}, urlCase{Want: "never"})
	for _, c := range cases {
		for _, private := range []bool{false, true} {
			want := c.Want == "public" || c.Want == "private" && private
			if _, err := checkURL(c.URL, private); (err == nil) != want {
				t.Errorf("%q with private providers allowed %v: %v, want accepted %v", c.URL, private, err, want)
			}
		}
	}
}

// A provider is refused where it is written for what a Verifier would not ask.
func TestCheckProvider(t *testing.T) { // NET-01
	t.Parallel()
	for _, c := range loadCases(t, "urls.yaml", func(c urlCase) string { return c.URL }) {
		for field, p := range map[string]tenants.Provider{
			"issuer":        {Issuer: c.URL, JWKS: tenants.KeySource{Discovery: true}},
			"jwks":          {Issuer: "anything", JWKS: tenants.KeySource{URL: c.URL}},
			"introspection": {Introspection: c.URL, Issuer: "anything"},
		} {
			want := c.Want == "public" && (field != "issuer" || !strings.Contains(c.URL, "?"))
			err := CheckProvider(p, false)
			var at *tenants.FieldError
			if (err == nil) != want || err != nil && (!errors.As(err, &at) || at.Field != field) {
				t.Errorf("%s %q: %v, want accepted %v", field, c.URL, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the password of the URL is in %v", field, err)
			}
		}
	}
	inline := tenants.Provider{Issuer: "http://10.0.0.1", JWKS: tenants.KeySource{Inline: []byte(`{}`)}}
	if err := CheckProvider(inline, false); err != nil {
		t.Errorf("an issuer that nobody asks: %v", err)
	}
}

func TestIsPublic(t *testing.T) { // NET-01
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8": true, "203.0.112.255": true, "2606:4700::1111": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false,
		"172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.168.1.1": false, "100.64.0.1": false,
		"100.127.255.255": false, "100.128.0.1": true, "169.254.169.254": false, "169.254.170.2": false, "192.0.0.1": false,
		"198.18.0.1": false, "198.19.255.255": false, "224.0.0.1": false, "239.1.2.3": false, "240.0.0.1": false,
		"255.255.255.255": false, "::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false,
		"fd00:ec2::254": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false,
		"2001:db8::1": false, "fec0::1": false, "100::1": false, "4000::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %v, want %v", address, got, want)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

// A name that resolves to loopback is refused when it is dialled, whatever it
// resolved to before.
func TestDialRefusesPrivateAddress(t *testing.T) { // NET-02
	t.Parallel()
	var connections atomic.Int32
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	f := newFetcher(Config{}, &counters{})
	for _, network := range []string{"tcp", "tcp4"} {
		if _, err := f.dialer.Dial(network, listener.Addr().String()); err == nil || !strings.Contains(err.Error(), "not public") {
			t.Errorf("%s: %v", network, err)
		}
	}
	queries := stubResolver(t, f, [4]byte{127, 0, 0, 1})
	_, err := f.get(t.Context(), "https://idp.acme.example/keys", maxKeySet)
	if err == nil || !strings.Contains(err.Error(), "not public") {
		t.Errorf("by name: %v", err)
	}
	if queries.Load() == 0 {
		t.Error("the stub resolver was not asked")
	}
	v := New(Config{})
	stubResolver(t, v.keys.fetcher, [4]byte{169, 254, 169, 254})
	if _, err := verify(t, v, tenantOf(byURL("https://idp.acme.example/keys")), minted{}.token()); code(err) != "trouble" {
		t.Errorf("got %v", err)
	}
	if connections.Load() != 0 {
		t.Errorf("%d connections", connections.Load())
	}
}

// stubResolver answers every A query with one address.
func stubResolver(t *testing.T, f *fetcher, address [4]byte) *atomic.Int32 {
	t.Helper()
	conn := must(net.ListenPacket("udp", "127.0.0.1:0"))
	t.Cleanup(func() { conn.Close() })
	queries := &atomic.Int32{}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			queries.Add(1)
			conn.WriteTo(dnsAnswer(buf[:n], address), from)
		}
	}()
	f.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return queries
}

// dnsAnswer writes the response to a query with one question: one A record, or none.
func dnsAnswer(query []byte, address [4]byte) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	isA := question[len(question)-3] == 1
	response := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if isA {
		response[7] = 1
		response = append(response, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
		response = append(response, address[:]...)
	}
	return response
}

func TestRedirectsAreNotFollowed(t *testing.T) { // NET-03
	t.Parallel()
	target := newIDP(t)
	target.json("/keys", allKeys())
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newIDP(t)
		s.json("/here", allKeys())
		for _, to := range []string{target.URL + "/keys", "/here"} {
			s.handle("/keys", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) })
			if _, err := private().keys.fetcher.get(t.Context(), s.URL+"/keys", maxKeySet); err == nil {
				t.Errorf("%d to %s is followed", status, to)
			}
		}
		if s.count("/here") != 0 {
			t.Errorf("%d: the target was requested", status)
		}
	}
	if target.count("/keys") != 0 {
		t.Error("the target was requested")
	}
}

func TestTransport(t *testing.T) { // NET-04
	t.Parallel()
	transport := newFetcher(Config{}, &counters{}).client.Transport.(*http.Transport)
	if transport.Proxy != nil {
		t.Error("a proxy may be used")
	}
	if !transport.DisableCompression {
		t.Error("compression is asked for")
	}
	if transport.TLSClientConfig.MinVersion < tls.VersionTLS12 || transport.TLSClientConfig.InsecureSkipVerify {
		t.Error("TLS is weak")
	}
}

func TestAnswerLimits(t *testing.T) { // NET-05
	t.Parallel()
	pad := func(size int) string {
		set := allKeys()
		return set + strings.Repeat(" ", size-len(set))
	}
	var written atomic.Int64
	endless := func(chunk string, pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for written.Load() < 1<<30 {
				n, err := io.WriteString(w, chunk)
				written.Add(int64(n))
				if err != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
					return
				}
			}
		}
	}
	typed := func(header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set(header, value)
			io.WriteString(w, allKeys())
		}
	}
	tests := []struct {
		name  string
		serve http.HandlerFunc
		ok    bool
	}{
		{"150000 bytes", answerJSON(pad(150_000)), true},
		{"150001 bytes", answerJSON(pad(150_001)), false},
		{"endless and fast", endless(strings.Repeat(" ", 64<<10), 0), false},
		{"endless and slow", endless(" ", 300*time.Millisecond), false},
		{"gzip", typed("Content-Encoding", "gzip"), false},
		{"HTML", typed("Content-Type", "text/html"), false},
		{"no type", typed("Content-Type", ""), false},
		{"JWK set type", typed("Content-Type", "application/jwk-set+json; charset=utf-8"), true},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false},
		{"206", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(206)
			io.WriteString(w, allKeys())
		}, false},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, false},
		{"large header", typed("X-Large", strings.Repeat("x", 64<<10)), false},
		{"connection cut", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newIDP(t)
			s.handle("/keys", tt.serve)
			start := time.Now()
			_, err := verify(t, private(), tenantOf(byURL(s.URL+"/keys?secret=s3cr3t")), minted{}.token())
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
			if err != nil && (code(err) != "trouble" || strings.Contains(err.Error(), "s3cr3t")) {
				t.Errorf("error %v", err)
			}
			if took := time.Since(start); took > totalBudget+2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Cleanup(func() {
		if written.Load() > 64<<20 {
			t.Errorf("%d bytes were taken", written.Load())
		}
	})
}

func TestTLS(t *testing.T) { // NET-07
	t.Parallel()
	s := unstartedIDP()
	s.json("/keys", allKeys())
	s.StartTLS()
	t.Cleanup(s.Close)
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	old := unstartedIDP()
	old.json("/keys", allKeys())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	tests := []struct {
		name, url string
		roots     *x509.CertPool
		ok        bool
	}{
		{"trusted", s.URL, trusted, true},
		{"self-signed", s.URL, nil, false},
		{"other authority", s.URL, x509.NewCertPool(), false},
		{"wrong host", "https://localhost:" + port, trusted, false},
		{"TLS 1.1", old.URL, trusted, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := New(Config{AllowPrivate: true, RootCAs: tt.roots})
			_, err := verify(t, v, tenantOf(byURL(tt.url+"/keys")), minted{}.token())
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		v := New(Config{AllowPrivate: true, RootCAs: trusted})
		v.keys.fetcher.client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time {
			return s.Certificate().NotAfter.Add(time.Hour)
		}
		if _, err := verify(t, v, tenantOf(byURL(s.URL+"/keys")), minted{}.token()); code(err) != "trouble" {
			t.Errorf("got %v", err)
		}
	})
}

func TestDiscovery(t *testing.T) { // NET-15
	t.Parallel()
	other := newIDP(t)
	other.json("/keys", allKeys())
	tests := []struct {
		name string
		doc  func(s *idp) string
		ok   bool
	}{
		{"right", func(s *idp) string { return members{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}.json() }, true},
		{"keys at another host", func(s *idp) string { return members{"issuer": s.URL, "jwks_uri": other.URL + "/keys"}.json() }, true},
		{"another issuer", func(s *idp) string { return members{"issuer": other.URL, "jwks_uri": s.URL + "/keys"}.json() }, false},
		{"a slash more", func(s *idp) string { return members{"issuer": s.URL + "/", "jwks_uri": s.URL + "/keys"}.json() }, false},
		{"no issuer", func(s *idp) string { return members{"jwks_uri": s.URL + "/keys"}.json() }, false},
		{"no jwks_uri", func(s *idp) string { return members{"issuer": s.URL}.json() }, false},
		{"jwks_uri number", func(s *idp) string { return members{"issuer": s.URL, "jwks_uri": 1}.json() }, false},
		{"jwks_uri file", func(s *idp) string { return members{"issuer": s.URL, "jwks_uri": "file:///etc/passwd"}.json() }, false},
		{"jwks_uri relative", func(s *idp) string { return members{"issuer": s.URL, "jwks_uri": "/keys"}.json() }, false},
		{"jwks_uri with user information", func(s *idp) string {
			return members{"issuer": s.URL, "jwks_uri": strings.Replace(s.URL, "//", "//u@", 1) + "/keys"}.json()
		}, false},
		{"issuer twice", func(s *idp) string {
			return fmt.Sprintf(`{"issuer":"https://x.example","issuer":%q,"jwks_uri":"%s/keys"}`, s.URL, s.URL)
		}, false},
		{"not an object", func(*idp) string { return `[]` }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newIDP(t)
			p := s.byDiscovery()
			s.json(wellKnown, tt.doc(s))
			_, err := verify(t, private(), tenantOf(p), minted{claims: members{"iss": s.URL}}.token())
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
	t.Run("not of public form", func(t *testing.T) {
		t.Parallel()
		p := provider()
		p.Issuer, p.JWKS = "https://10.0.0.1", tenants.KeySource{Discovery: true}
		if _, err := verify(t, offline(t, Config{}), tenantOf(p), minted{claims: members{"iss": p.Issuer}}.token()); code(err) != "trouble" {
			t.Errorf("got %v", err)
		}
	})
}
