package tenants

import (
	"strings"
	"unicode/utf8"
)

// ValidSelector reports whether a tenant could hold value as a selector of that kind.
// What could not is never looked up in a store.
func ValidSelector(kind SelectorKind, value string) bool {
	if value == "" || len(value) > maxSelector || !utf8.ValidString(value) {
		return false
	}
	switch kind {
	case ByHost:
		return value == strings.ToLower(value) && !strings.ContainsAny(value, ":/ \t")
	case ByIssuer, ByValue:
		return true
	default:
		return false
	}
}

// ValidAPI reports whether id has the form of an API's id. What has not that form is
// never looked up in a store.
func ValidAPI(id string) bool {
	return id != "" && !strings.ContainsAny(id, "/:*? #") && utf8.ValidString(id)
}

// ValidDigest reports whether d has the form of a digest.
func ValidDigest(d Digest) bool {
	digits, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(digits) != 64 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}
