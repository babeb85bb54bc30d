package devissuer_test

import (
	"fmt"
	"strings"
	"time"

	"regent/cmd/internal/devissuer"
)

func Example() {
	issuer, err := devissuer.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	// The tenant trusts the development issuer under a URL of its own.
	provider := issuer.Provider("https://idp.acme.example", "https://api.acme.example")
	now := time.Now()
	token, err := issuer.Mint(devissuer.Claims{
		Issuer:   provider.Issuer,
		Subject:  "alice",
		Audience: provider.Audiences,
		IssuedAt: now,
		Expires:  now.Add(time.Hour),
		Extra:    map[string]any{"roles": []string{"viewer"}},
	})
	fmt.Println(strings.Count(token, "."), err, provider.Algorithms)
	// Output: 2 <nil> [ES256]
}
