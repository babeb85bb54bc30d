package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"regent/tenants"
)

const maxURLPath = 512 // bytes

// CheckProvider reports the URLs of a provider that no Verifier with this setting of
// Config.AllowPrivate will ever ask, each as a *tenants.FieldError, joined: those that
// are not https, have user information or another port than 443, or whose host is an
// IP address in any spelling or a name that is not public. It opens no connection: a name
// that leads to a private address is found only when it is dialled. No URL is repeated
// with its user information or query.
func CheckProvider(p tenants.Provider, allowPrivate bool) error {
	var found []error
	check := func(field, url string) {
		if _, err := checkURL(url, allowPrivate); err != nil {
			found = append(found, &tenants.FieldError{Field: field, Message: err.Error()})
		}
	}
	switch {
	case p.Introspection != "":
		check("introspection", p.Introspection)
	case p.JWKS.Discovery && strings.ContainsAny(p.Issuer, "?#"):
		found = append(found, &tenants.FieldError{Field: "issuer", Message: errNoDocument.Error()})
	case p.JWKS.Discovery:
		check("issuer", discoveryURL(p.Issuer))
	case p.JWKS.URL != "":
		check("jwks", p.JWKS.URL)
	}
	return errors.Join(found...)
}

func (f *fetcher) checkURL(s string) (*url.URL, error) { return checkURL(s, f.allowPrivate) }

// checkURL refuses, before any name is looked up, URLs that no public provider has.
// What the name then resolves to is judged by control, when it is dialled.
func checkURL(s string, allowPrivate bool) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the provider's URL cannot be parsed")
	}
	fail := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("the provider at %s: %s", place(u), why)
	}
	switch {
	case u.Scheme != "https" && !(u.Scheme == "http" && allowPrivate):
		return fail("only https is allowed")
	case u.User != nil:
		return fail("its URL has user information")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return fail("its URL has a fragment")
	case u.Opaque != "" || u.Hostname() == "":
		return fail("its URL has no host")
	case len(u.EscapedPath()) > maxURLPath:
		return fail("the path of its URL is too long")
	case allowPrivate:
		return u, nil
	case u.Port() != "" && u.Port() != "443":
		return fail("only port 443 is allowed")
	case !isPublicName(u.Hostname()):
		return fail("its host is not a public name")
	}
	return u, nil
}

// place names a URL in errors, without a query that might hold a secret.
func place(u *url.URL) string { return u.Host + u.EscapedPath() }

// isPublicName takes names of at least two labels of letters, digits and hyphens.
// A last label that begins with a digit is the decimal, octal or hexadecimal form of
// an IPv4 address: no top-level domain does.
func isPublicName(host string) bool {
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || last == "" || isDigit(last[0]) || strings.EqualFold(last, "localhost") {
		return false
	}
	for _, label := range labels {
		if label == "" || strings.ContainsFunc(label, notHostRune) {
			return false
		}
	}
	return true
}

func notHostRune(r rune) bool {
	return r != '-' && (r < '0' || '9' < r) && (r < 'a' || 'z' < r) && (r < 'A' || 'Z' < r)
}

// control is a net.Dialer's Control: it sees the address that is really connected
// to, so a name that resolves differently the second time gains nothing.
func (f *fetcher) control(network, address string, _ syscall.RawConn) error {
	if f.allowPrivate {
		return nil
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return errors.New("not an address to dial")
	}
	if !isPublic(to.Addr()) {
		return errors.New("its name resolves to an address that is not public")
	}
	return nil
}

// reserved are the parts of IPv4, and of IPv6's 2000::/3, that are not public hosts.
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),       // this network
		netip.MustParsePrefix("10.0.0.0/8"),      // private
		netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT
		netip.MustParsePrefix("127.0.0.0/8"),     // loopback
		netip.MustParsePrefix("169.254.0.0/16"),  // link-local: metadata services
		netip.MustParsePrefix("172.16.0.0/12"),   // private
		netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),    // documentation
		netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays
		netip.MustParsePrefix("192.168.0.0/16"),  // private
		netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"), // documentation
		netip.MustParsePrefix("203.0.113.0/24"),  // documentation
		netip.MustParsePrefix("224.0.0.0/4"),     // multicast
		netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
		netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo among them
		netip.MustParsePrefix("2001:db8::/32"),   // documentation
		netip.MustParsePrefix("2002::/16"),       // 6to4: hides an IPv4 address
		netip.MustParsePrefix("3fff::/20"),       // documentation
	}
}

// isPublic reports whether an address is that of a host on the public internet. Of
// IPv6 only 2000::/3 has such hosts; NAT64's prefix stands for the IPv4 address in it.
func isPublic(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is6() && !netip.MustParsePrefix("2000::/3").Contains(a) {
		return false
	}
	for _, p := range reserved() {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}
