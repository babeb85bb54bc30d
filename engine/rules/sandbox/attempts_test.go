package sandbox

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// stall measures how much later than it should a goroutine goes on, while something is
// being timed: what is beyond the machine is beyond the code.
type stall struct {
	stop chan struct{}
	most chan time.Duration
}

func watchStall() stall {
	s := stall{make(chan struct{}), make(chan time.Duration, 1)}
	go func() {
		const pause = time.Millisecond
		most := time.Duration(0)
		for {
			start := time.Now()
			select {
			case <-s.stop:
				s.most <- most
				return
			case <-time.After(pause):
				most += max(time.Since(start)-2*pause, 0)
			}
		}
	}()
	return s
}

// end returns the sum of the delays.
func (s stall) end() time.Duration {
	close(s.stop)
	return <-s.most
}

// timed does something, and returns an error if it took more than limit and what the
// machine was late. At most half of the limit is the machine's: a busy parent is late too.
func timed(name string, limit time.Duration, do func()) error {
	if underRace {
		limit *= 3
	}
	s := watchStall()
	start := time.Now()
	do()
	took := time.Since(start)
	late := min(s.end(), limit/2)
	if took > limit+late {
		return fmt.Errorf("%s took %s, more than %s (and the machine was late by %s)", name, took, limit, late)
	}
	return nil
}

// mostly attempts something that a busy machine may spoil, and fails unless two of three
// attempts succeed; with the race detector, which makes every machine a busy one, one of six.
func mostly(t *testing.T, name string, attempt func() error) {
	t.Helper()
	wanted, attempts := 2, 3
	if underRace {
		wanted, attempts = 1, 6
	}
	var failed []error
	for done := 0; done < wanted; {
		err := attempt()
		if err == nil {
			done++
			continue
		}
		if failed = append(failed, err); len(failed) > attempts-wanted {
			t.Errorf("%s: %v", name, errors.Join(failed...))
			return
		}
	}
}
