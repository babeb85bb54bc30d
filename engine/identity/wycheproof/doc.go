// Package wycheproof holds the verifier against the vectors of C2SP's Wycheproof
// project, and, by fuzzing, against go-jose, a second implementation. It is a module
// of its own, because the vectors are 109 MB and go-jose is nobody else's business:
//
//	cd engine/identity/wycheproof && go test ./...
package wycheproof
