package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Budgets of one exchange with a provider.
const (
	connectBudget = 300 * time.Millisecond
	tlsBudget     = 500 * time.Millisecond
	headerBudget  = 800 * time.Millisecond
	totalBudget   = 1500 * time.Millisecond

	// idleConnection is short, so that a connection which the peer dropped while the
	// function was frozen is seldom reused.
	idleConnection = 5 * time.Second
)

// fetcher talks to providers: https to public addresses, no proxy, no redirects, no
// compression, bounded in time and size.
type fetcher struct {
	allowPrivate bool
	dialer       *net.Dialer
	client       *http.Client
	counted      *counters
}

func newFetcher(config Config, counted *counters) *fetcher {
	f := &fetcher{allowPrivate: config.AllowPrivate, counted: counted}
	// IPv4 is tried beside an IPv6 that does not answer while there is time left.
	f.dialer = &net.Dialer{Timeout: connectBudget, FallbackDelay: connectBudget / 3, Control: f.control}
	f.client = &http.Client{
		Timeout: totalBudget,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            f.dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.RootCAs},
			TLSHandshakeTimeout:    tlsBudget,
			ResponseHeaderTimeout:  headerBudget,
			MaxResponseHeaderBytes: 32 << 10,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        idleConnection,
			DisableCompression:     true,
		},
	}
	return f
}

// get fetches a JSON document of at most limit bytes.
func (f *fetcher) get(ctx context.Context, from string, limit int64) ([]byte, error) {
	u, err := f.checkURL(from)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("the provider at %s: its URL cannot be requested", place(u))
	}
	return f.do(request, limit)
}

// statusError is an answer that is not 200.
type statusError struct {
	status     int
	retryAfter string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("answered %d %s", e.status, http.StatusText(e.status))
}

// errTransport is wrapped by the errors of exchanges in which no answer came.
var errTransport = errors.New("no answer")

// do sends a request and returns the body of an answer that is 200, JSON and at
// most limit bytes. Nothing of the answer is in the errors, and of the request only
// host and path.
func (f *fetcher) do(request *http.Request, limit int64) ([]byte, error) {
	f.counted.requests.Add(1)
	body, err := f.exchange(request, limit)
	if err != nil {
		f.counted.failures.Add(1)
		return nil, fmt.Errorf("the provider at %s: %w", place(request.URL), err)
	}
	return body, nil
}

func (f *fetcher) exchange(request *http.Request, limit int64) ([]byte, error) {
	request.Header.Set("Accept", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTransport, withoutURL(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &statusError{response.StatusCode, response.Header.Get("Retry-After")}
	}
	if !isJSON(response.Header) {
		return nil, errors.New("the answer is not JSON by its Content-Type, or compressed")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errTransport, withoutURL(err))
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return body, nil
}

// withoutURL drops the URL, whose query might hold a secret, from net/http's errors.
func withoutURL(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return withURL.Err
	}
	return err
}

func isJSON(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && h.Get("Content-Encoding") == "" &&
		(media == "application/json" || strings.HasSuffix(media, "+json"))
}
