// Package residue decides Rego queries over the unknown parts of a request, for whole
// sets of requests at once: what is left of rules when everything that is the same for every request is evaluated.
//
// It is a small interpreter of Rego over symbolic requests. Specialise evaluates rules
// as far as they are the same for every request, once; what is left are ways to
// satisfy them, filed by the method and route that they want. A cell is a set of
// requests of one method whose path segments are words or free; the queries are
// evaluated for the cell, and where the answer depends on what a free segment is,
// the cell is split there and both halves are evaluated again. What comes out is a
// partition of an API's routes into cells that are allowed or not as a whole.
// Nothing that matters can be overlooked this way: a free segment has no value that
// an evaluation could use by accident.
//
// Answers have three values. What the interpreter does not understand, what
// depends on anything that has no symbol (a query parameter, a header that is no
// identity source, the time), and what would be an error in Rego, is maybe: never
// allowed, and remembered with its file and line.
//
// Rules are prepared once for each policy and are for many goroutines; a Program is one
// key's, and for one goroutine.
//
// The package knows neither IAM nor how the answers are used.
package residue
