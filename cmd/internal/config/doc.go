// Package config reads Regent's configuration from REGENT_ variables, strictly: a
// name that is not known, a value that does not fit and a setting that would do
// nothing are errors, all told at once, for what a security product silently
// ignores is believed to be in force.
//
// It opens no store and reads no file. Names that begin with REGENT_ are its own:
// secrets that tenants refer to as env:NAME need other names.
package config
