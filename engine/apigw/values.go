package apigw

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// remapped is how API Gateway once renamed headers. Clients that send the names
// themselves want a backend to see another header than the authorizer saw.
const remapped = "x-amzn-remapped-"

// headers sets Headers and Cookies, whichever of the event's forms they come in.
func (r *reading) headers() {
	r.req.Headers = merged(r.ev.MultiValueHeaders, r.ev.Headers, strings.ToLower)
	for name := range r.req.Headers {
		if strings.HasPrefix(name, remapped) {
			r.doubtful("a header is named " + remapped + "*")
		}
	}
	for _, lines := range [][]string{r.ev.Cookies, r.req.Headers["cookie"]} {
		for _, line := range lines {
			for pair := range strings.SplitSeq(line, ";") {
				if pair = strings.TrimSpace(pair); pair != "" {
					r.req.Cookies = append(r.req.Cookies, pair)
				}
			}
		}
	}
	delete(r.req.Headers, "cookie")
}

func sameName(name string) string { return name }

// merged brings the two maps of an event together: all values where there is a list,
// else the single one. Names that become the same are one name with all their
// values, and so is a single value that the list does not have: what API Gateway and
// the backend would make of those is not known, and a name with two values is
// refused wherever it matters.
func merged(multi map[string][]string, single map[string]string, canonical func(string) string) map[string][]string {
	if len(multi) == 0 && len(single) == 0 {
		return nil
	}
	out := make(map[string][]string, max(len(multi), len(single)))
	for _, name := range sorted(multi) {
		values := multi[name]
		if len(values) == 0 {
			continue
		}
		key := canonical(name)
		if before := out[key]; len(before) > 0 {
			values = slices.Concat(before, values)
		}
		out[key] = values
	}
	for _, name := range sorted(single) {
		value := single[name]
		if slices.Contains(multi[name], value) {
			continue
		}
		key := canonical(name)
		if len(multi) == 0 || !slices.Contains(out[key], value) {
			out[key] = append(out[key], value)
		}
	}
	return out
}

// sorted returns a map's keys in order, so that spellings that meet do so in the same
// order every time.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// rawQuery sets Query from an HTTP API's query string, because its map joins repeated
// values with commas. A query that Go and API Gateway read differently is doubtful:
// the map is what the cache keys on.
func (r *reading) rawQuery() {
	raw := ""
	if r.ev.RawQueryString != nil {
		raw = *r.ev.RawQueryString
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		r.doubtful("the query has a semicolon or a bad escape")
	}
	if len(query) > 0 {
		r.req.Query = query
	}
	for name, values := range query {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
			r.doubtful("the query has a value that is not UTF-8")
		}
	}
	given := r.ev.QueryStringParameters
	if given == nil {
		return
	}
	if len(given) != len(query) {
		r.doubtful("the query string and the query parameters differ")
	}
	for name, values := range query {
		joined, ok := given[name]
		// Whether API Gateway takes "+" for a space here is not known for sure.
		plus := strings.Contains(raw, "+")
		if !plus && (!ok || joined != strings.Join(values, ",")) {
			r.doubtful("the query string and the query parameters differ")
		}
	}
}
