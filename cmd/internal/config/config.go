package config

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"regent/tenants/cache"
)

const prefix = "REGENT_"

// Bounds of Config.EvalTimeout.
const (
	DefaultEvalTimeout = 50 * time.Millisecond
	MinEvalTimeout     = time.Millisecond
	MaxEvalTimeout     = 5 * time.Second
)

// Bounds of Config.Refresh, MustRefresh and MaxStale. The lower ones keep a table from
// being read for every decision, the upper ones a suspension or a new revision from
// being overlooked for longer than anybody would think.
const (
	MinRefresh  = time.Second
	MaxRefresh  = 10 * time.Minute
	MaxMaxStale = 24 * time.Hour
)

// Config is what the REGENT_ variables say.
type Config struct {
	// Store is REGENT_STORE. Required.
	Store Store
	// Refresh, MustRefresh and MaxStale are REGENT_REFRESH, REGENT_MUST_REFRESH and
	// REGENT_MAX_STALE: the ladder of cache.Config. They are 0 with a directory, which is
	// read once.
	Refresh, MustRefresh, MaxStale time.Duration
	// EvalTimeout is REGENT_EVAL_TIMEOUT: what one evaluation of rules may take.
	EvalTimeout time.Duration
	// AllowPrivate is REGENT_ALLOW_PRIVATE_PROVIDERS: whether identity providers may
	// be at private addresses and without TLS. For development only.
	AllowPrivate bool
	// InProcess is REGENT_ISOLATION=none: rules are evaluated in the program's own
	// process and not in one that can be killed. For those who trust all the rules.
	InProcess bool
	// LogLevel is REGENT_LOG_LEVEL, for operational messages. Decisions are logged
	// at every level.
	LogLevel slog.Level
}

// Store names where tenants and their rules are.
type Store struct {
	// Scheme is SchemeDir or SchemeDynamoDB.
	Scheme string
	// Name is the directory, relative to the working directory or absolute; or the
	// name of the table.
	Name string
}

// The schemes of stores.
const (
	SchemeDir      = "dir"
	SchemeDynamoDB = "dynamodb"
)

// String returns the form that ParseStore reads.
func (s Store) String() string { return s.Scheme + ":" + s.Name }

// schemes are the stores that this build has, as an operator writes them.
func schemes() []string { return []string{"dir:PATH", "dynamodb:TABLE"} }

// tableName is what DynamoDB takes as the name of a table, but for its length of 3 to 255:
// counts in a pattern take time at every start.
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// ParseStore reads SCHEME:NAME.
func ParseStore(s string) (Store, error) {
	scheme, name, ok := strings.Cut(s, ":")
	switch {
	case !ok || (scheme != SchemeDir && scheme != SchemeDynamoDB):
		return Store{}, fmt.Errorf("%q is not a store that this build knows: use %s", s, strings.Join(schemes(), " or "))
	case scheme == SchemeDir && name == "":
		return Store{}, fmt.Errorf("%q names no directory: use dir:PATH", s)
	case scheme == SchemeDynamoDB && (len(name) < 3 || len(name) > 255 || !tableName.MatchString(name)):
		return Store{}, fmt.Errorf("%q names no table: its name has 3 to 255 letters, digits, hyphens, underscores and dots", s)
	}
	return Store{Scheme: scheme, Name: name}, nil
}

// setting is one variable: what reads its value.
type setting struct {
	name string
	read func(*Config, string) error
}

func settings() []setting {
	return []setting{
		{"REGENT_ALLOW_PRIVATE_PROVIDERS", readAllowPrivate},
		{"REGENT_EVAL_TIMEOUT", readEvalTimeout},
		{"REGENT_ISOLATION", readIsolation},
		{"REGENT_LOG_LEVEL", readLogLevel},
		{maxStale, func(c *Config, v string) error { return readAge(&c.MaxStale, v, MaxMaxStale) }},
		{mustRefresh, func(c *Config, v string) error { return readAge(&c.MustRefresh, v, MaxMaxStale) }},
		{refresh, func(c *Config, v string) error { return readAge(&c.Refresh, v, MaxRefresh) }},
		{"REGENT_STORE", readStore},
	}
}

// FromEnviron reads the configuration from NAME=VALUE strings as os.Environ returns
// them. Names without the prefix REGENT_ are not looked at. The error joins
// everything that is wrong; values of unknown variables are not in it.
func FromEnviron(environ []string) (Config, error) {
	c := Config{EvalTimeout: DefaultEvalTimeout}
	var problems []error
	known := settings()
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		i := slices.IndexFunc(known, func(s setting) bool { return s.name == name })
		if i < 0 {
			problems = append(problems, fmt.Errorf("%s is not a setting: did you mean %s?", name, nearest(name)))
			continue
		}
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is empty: give it a value, or remove it for the default", name))
			continue
		}
		if err := known[i].read(&c, value); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.Store == (Store{}) && !slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, "REGENT_STORE=") }) {
		problems = append(problems, fmt.Errorf("REGENT_STORE is not set: set it to %s", strings.Join(schemes(), " or ")))
	}
	problems = append(problems, c.checkLadder()...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

func readStore(c *Config, value string) (err error) {
	c.Store, err = ParseStore(value)
	return err
}

func readEvalTimeout(c *Config, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 50ms", value)
	}
	if d < MinEvalTimeout || d > MaxEvalTimeout {
		return fmt.Errorf("%s is not from %s to %s", d, MinEvalTimeout, MaxEvalTimeout)
	}
	c.EvalTimeout = d
	return nil
}

func readAllowPrivate(c *Config, value string) error {
	switch value {
	case "true":
		c.AllowPrivate = true
	case "false":
	default:
		return fmt.Errorf("%q is neither true nor false", value)
	}
	return nil
}

func readLogLevel(c *Config, value string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[value]
	if !ok {
		return fmt.Errorf("%q is not a level: debug, info, warn or error", value)
	}
	c.LogLevel = level
	return nil
}

func readIsolation(c *Config, value string) error {
	switch value {
	case "process":
	case "none":
		c.InProcess = true
	default:
		return fmt.Errorf("%q is neither process nor none", value)
	}
	return nil
}

// The settings of the ladder.
const (
	refresh     = "REGENT_REFRESH"
	mustRefresh = "REGENT_MUST_REFRESH"
	maxStale    = "REGENT_MAX_STALE"
)

func readAge(age *time.Duration, value string, longest time.Duration) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30s", value)
	}
	if d < MinRefresh || d > longest {
		return fmt.Errorf("%s is not from %s to %s", d, MinRefresh, longest)
	}
	*age = d
	return nil
}

// checkLadder fills in what is not set, and reports steps that are out of order.
func (c *Config) checkLadder() []error {
	steps := []struct {
		name     string
		age      *time.Duration
		standard time.Duration
	}{
		{refresh, &c.Refresh, cache.DefaultRefresh},
		{mustRefresh, &c.MustRefresh, cache.DefaultMustRefresh},
		{maxStale, &c.MaxStale, cache.DefaultMaxStale},
	}
	var problems []error
	before := ""
	least := time.Duration(0)
	for _, step := range steps {
		switch {
		case c.Store.Scheme == SchemeDir && *step.age != 0:
			problems = append(problems, fmt.Errorf("%s: does nothing with a dir: store, which is read once at the start: remove it", step.name))
		case c.Store.Scheme == SchemeDir:
			continue
		case *step.age == 0:
			*step.age = max(step.standard, least)
		case *step.age < least:
			problems = append(problems, fmt.Errorf("%s: %s is less than the %s of %s", step.name, *step.age, least, before))
		}
		before, least = step.name, *step.age
	}
	return problems
}

// nearest returns the known name that differs least from name.
func nearest(name string) string {
	known := settings()
	return slices.MinFunc(known, func(a, b setting) int {
		return levenshtein.ComputeDistance(name, a.name) - levenshtein.ComputeDistance(name, b.name)
	}).name
}
