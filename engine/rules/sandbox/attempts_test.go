package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
		return fmt.Errorf("%s took %s, more than %s and %s that the machine was late", name, took, limit, late)
	}
	return nil
}

// mostly attempts something that a busy machine may spoil, and fails unless two of three
// attempts succeed; with the race detector, which makes every machine a busy one, one of six.
func mostly(t *testing.T, name string, attempt func() error) {
	t.Helper()
	if underRace {
		attempts(t, name, 1, 5, attempt)
		return
	}
	attempts(t, name, 2, 1, attempt)
}

// attempts wants so many to succeed before more than so many fail. One that failed on a
// busy machine is made again, but not without end: this program may be what the machine is
// busy with.
func attempts(t *testing.T, name string, wanted, failures int, attempt func() error) {
	t.Helper()
	spoiled := 10
	var failed []error
	for wanted > 0 {
		busy := watchBusy()
		err := attempt()
		switch busy := busy(); {
		case err == nil:
			wanted--
			continue
		case busy && spoiled > 0:
			spoiled--
		default:
			failures--
		}
		failed = append(failed, err)
		if failures < 0 {
			t.Errorf("%s: %d attempts failed: %v", name, len(failed), errors.Join(failed...))
			return
		}
	}
}

// watchBusy returns a function that tells whether the machine was busy meanwhile: this
// process was late, or something waited for a processor for a fifth of the time.
func watchBusy() func() bool {
	const tolerable = 3 * time.Millisecond
	s, start, before := watchStall(), time.Now(), pressure()
	return func() bool {
		return s.end() > tolerable || pressure()-before > time.Since(start)/5
	}
}

// pressure is how long anything on the machine has had to wait for a processor, since it
// was started; 0 where that is not known.
func pressure() time.Duration {
	text, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	_, total, _ := strings.Cut(string(text), "total=")
	total, _, _ = strings.Cut(total, "\n")
	µs, _ := strconv.ParseInt(total, 10, 64)
	return time.Duration(µs) * time.Microsecond
}
