//go:build race

package sandbox

// underRace tells that the race detector is built in. Its own memory is far beyond
// what a child may have, so that the system cannot hold a child to that.
const underRace = true
