// Package wycheproof holds the verifier against the vectors of C2SP's Wycheproof
// project. It is a module of its own, because the vectors are 109 MB:
//
//	cd engine/identity/wycheproof && go test ./...
package wycheproof
