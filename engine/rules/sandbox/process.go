package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// startLimit is what a child may take to be up. A Lambda function that was just
// placed on a cold host needs more than the milliseconds of a warm one.
const startLimit = 5 * time.Second

// lastWords is how long an answer waits for a child's reason for ending, and afterwords
// how long what a killed child says is read at all.
const (
	lastWords  = 10 * time.Millisecond
	afterwords = time.Second
)

// errIdle means that a child had ended, or had written something, before it was
// asked: whatever it was, it was not this request's doing.
var errIdle = errors.New("the child ended while it had nothing to do")

// killedError is how a request ended together with its child.
type killedError struct {
	// reason is "deadline", "crash", "memory", "stack", "signal" or "protocol".
	reason string
	// starved tells that the child had less than half of the processor time that its
	// budget is where it does not have to share: the machine's fault rather than the rules'.
	starved bool
	// compiling tells that bundles were being compiled.
	compiling bool
	// hurried tells that the invocation had less time left than rules may take.
	hurried bool
	// crowded tells that others' policies had much of the child's memory.
	crowded bool
}

// excused tells that it may not have been the rules' doing.
func (e *killedError) excused() bool {
	return e.starved || e.hurried || e.crowded && (e.reason == "memory" || e.reason == "crash")
}

// Error says what happened to the child.
func (e *killedError) Error() string { return "the child was ended: " + e.reason }

// compileError says what compiling came to.
func (e *killedError) compileError() error {
	switch e.reason {
	case "deadline":
		return fmt.Errorf("compiling it takes longer than %s: it has to be simpler", CompileLimit)
	case "stack":
		return errors.New("compiling it ends in a stack overflow: it has to be nested less deeply")
	case "memory":
		return errors.New("compiling it takes too much memory: it has to be simpler")
	default:
		return e
	}
}

// process is one child. It is used by one goroutine at a time.
type process struct {
	cmd *exec.Cmd
	to  *os.File
	out *os.File
	// from buffers out.
	from *bufio.Reader
	id   uint64
	// allowed is the time of the request.
	allowed allowance
	// loaded mirrors what the child keeps.
	loaded *lru.Cache[pairKey, struct{}]
	// share is the part of a processor that there is at all; 0 means a whole one.
	share float64
	// uses counts requests since the memory was looked at, which was size then; reserved
	// is what it was at the start. Both are what counts against the limit.
	uses           int
	reserved, size int64
	// spent is the processor time of the requests since it was set to 0, as far as it
	// could be more than a moment.
	spent time.Duration

	dead     atomic.Bool
	last     *tail
	messages *os.File
	// reaping is held where the child's id has to stay its own; reaped tells that another
	// process may have it by now.
	reaping sync.Mutex
	reaped  bool
	exited  chan struct{}
	release sync.Once
}

// startProcess starts a child, and returns when it has its limits. One that is behind
// others lets them go first where the processors are busy.
func startProcess(command []string, conf configuration, behind bool) (*process, error) {
	p, err := spawn(command)
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if behind {
		p.stepBack()
	}
	if p.loaded, err = lru.New[pairKey, struct{}](conf.capacity); err != nil {
		p.end()
		return nil, err
	}
	w := newFrame()
	w.configuration(conf)
	// A function that was frozen while its child started is not to lose it for that.
	f, err := p.exchange(opConfigure, w, 0, budget{time: startLimit, extensions: 1})
	if err != nil || f.code != statusOK {
		p.end()
		// In words only: no question had anything to do with it.
		return nil, fmt.Errorf("start a child: it did not get ready: %v %s", err, p.last.line())
	}
	_, p.reserved = memoryOf(p.cmd.Process.Pid)
	p.size, p.spent = p.reserved, 0
	return p, nil
}

// spawn runs the command with nothing of this process but three pipes.
func spawn(command []string) (*process, error) {
	if err := conceal(); err != nil {
		return nil, err
	}
	childIn, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, childOut, err := answerPipe()
	if err != nil {
		closeAll(childIn, to)
		return nil, err
	}
	messages, childErr, err := os.Pipe()
	if err != nil {
		closeAll(childIn, to, from, childOut)
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: command[0], Args: command[1:], Env: []string{}, Dir: "/",
		Stdin: childIn, Stdout: childOut, Stderr: childErr,
		SysProcAttr: attributes(),
	}
	err = start(cmd)
	closeAll(childIn, childOut, childErr)
	if err != nil {
		closeAll(to, from, messages)
		return nil, err
	}
	p := &process{cmd: cmd, to: to, out: from, last: &tail{}, messages: messages, exited: make(chan struct{})}
	p.from = bufio.NewReaderSize(answers{p}, 4<<10)
	go p.reap()
	return p, nil
}

// reap waits for the child's end, whatever its cause, so that none stays a zombie.
func (p *process) reap() {
	// It ends with the child, or a while after it was killed: what a child may have left
	// behind holds nobody up.
	_, _ = io.Copy(p.last, p.messages)
	p.messages.Close()
	awaitEnd(p.cmd.Process.Pid)
	p.reaping.Lock()
	p.reaped = true
	p.reaping.Unlock()
	_ = p.cmd.Wait() // how it ended is in ProcessState
	p.dead.Store(true)
	close(p.exited)
}

// kill ends the child at once, and what it may have started. It may be called at any
// time, by anybody.
func (p *process) kill() {
	p.dead.Store(true)
	p.reaping.Lock()
	if !p.reaped {
		killGroup(p.cmd.Process.Pid)
	}
	p.reaping.Unlock()
	_ = p.cmd.Process.Kill()                                   // its one error is that the child has ended
	_ = p.messages.SetReadDeadline(time.Now().Add(afterwords)) // or that they are closed
}

// end kills the child and waits until nothing is left of it.
func (p *process) end() {
	p.kill()
	<-p.exited
	p.release.Do(func() { closeAll(p.to, p.out) })
}

// exchange sends a request and reads its answer of at most limit bytes. Every error
// but errIdle is a *killedError; after any of them the child is of no more use.
func (p *process) exchange(op byte, request *writer, limit int, b budget) (frame, error) {
	if p.dead.Load() || p.from.Buffered() > 0 || !silent(p.out) {
		p.kill()
		return frame{}, errIdle
	}
	p.id++
	p.allow(b)
	f, err := p.roundTrip(request.seal(p.id, op), limit)
	p.spent += p.took()
	if err != nil {
		return frame{}, p.failure(err)
	}
	return f, nil
}

// budget is the time that an answer may take.
type budget struct {
	time time.Duration
	// extensions is how many times the same time is granted again to a child that was
	// starved.
	extensions int
}

// extends tells whether a child that used so much of the processors since its time
// began, and so much in all, is granted the time again. What it used before counts: a
// child with a third of a processor would otherwise be starved time after time, and
// have far more than it is meant to have.
func (b budget) extends(used, all time.Duration) bool {
	return b.extensions > 0 && starved(used, b.time, 1) && all < b.time*3/4
}

// allowance is what is left of a budget.
type allowance struct {
	budget
	// start is when the child was asked, and until when the time is over.
	start, until time.Time
	// first is what the child had used of the processors when it was asked, and before
	// when its time began, which an extension begins anew; all is what it used in all, if
	// it had to be looked at because it was late.
	first, before, all time.Duration
	// begun tells that a part of the answer was read.
	begun bool
}

// allow begins the time of a request.
func (p *process) allow(b budget) {
	used := processorTime(p.cmd.Process.Pid)
	now := time.Now()
	p.allowed = allowance{budget: b, start: now, until: now.Add(b.time), first: used, before: used}
}

// took is what the request took: the processor time, where that is less than the time that
// went by and makes a difference.
func (p *process) took() time.Duration {
	a := &p.allowed
	passed := time.Since(a.start)
	if passed < longThen || a.first == 0 {
		return passed
	}
	if a.all == 0 {
		a.all = processorTime(p.cmd.Process.Pid) - a.first
	}
	if a.all <= 0 { // it is not known any more
		return passed
	}
	return min(passed, a.all)
}

// late ends a child whose time is over and returns why, or grants the time again and
// returns nil. It does not wait for the child's end: one with much memory takes its time.
func (p *process) late() error {
	a := &p.allowed
	now := processorTime(p.cmd.Process.Pid)
	used := now - a.before
	// Where it is not known what the child had, nobody is starved.
	known := a.before > 0 && now > 0
	if known && a.extends(used, now-a.first) {
		a.extensions--
		a.before, a.until = now, time.Now().Add(a.time)
		return nil
	}
	if known {
		a.all = now - a.first
	}
	p.kill()
	return &killedError{reason: "deadline", starved: known && starved(used, a.time, p.share)}
}

// starved tells whether a child that used so much of the processors has had less than
// half of what it could have in that time, of the share of a processor that there is.
func starved(used, in time.Duration, share float64) bool {
	if share <= 0 || share > 1 {
		share = 1
	}
	return float64(used) < float64(in)/2*share
}

func (p *process) roundTrip(request []byte, limit int) (frame, error) {
	if err := p.send(request); err != nil {
		return frame{}, err
	}
	f, err := readFrame(p.from, limit, nil)
	switch {
	case err != nil:
		return frame{}, err
	case f.id != p.id || p.from.Buffered() > 0:
		return frame{}, errWire
	}
	return f, nil
}

// send writes a request while there is time. What a pipe holds is written at once.
func (p *process) send(request []byte) error {
	for {
		if err := p.to.SetWriteDeadline(p.allowed.until); err != nil {
			return err
		}
		n, err := p.to.Write(request)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		request = request[n:]
		if err := p.late(); err != nil {
			return err
		}
	}
}

// answers reads what a child says while it has time.
type answers struct{ *process }

// Read waits for the child no longer than it is allowed. An answer that was there when
// this process looked is taken, for it may be this process that was frozen; the rest of one
// is not waited for.
func (a answers) Read(b []byte) (int, error) {
	for {
		n, err := 0, os.ErrDeadlineExceeded
		if !a.allowed.begun || time.Now().Before(a.allowed.until) {
			n, err = readBefore(a.out, b, a.allowed.until)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			a.allowed.begun = true
			return n, err
		}
		if err := a.late(); err != nil {
			return 0, err
		}
	}
}

// lookAfter is how many short questions are asked between two looks at a child's
// memory; after one that took longThen it is looked at too.
const (
	lookAfter = 256
	longThen  = 5 * time.Millisecond
)

// grown tells that the child holds much more than its collector lets it have for long: a new
// one is cheaper than a collector that runs all the time. by is true if it was the request
// before, which took so long, that did it.
func (p *process) grown(held time.Duration, memory uint64) (yes, by bool) {
	if p.uses++; p.uses < lookAfter && held < longThen {
		return false, false
	}
	before, room := p.size, room(memory, p.reserved)
	p.uses = 0
	_, p.size = memoryOf(p.cmd.Process.Pid)
	yes = p.size > p.reserved+room/4*3
	return yes, yes && held >= longThen && p.size > before+room/4
}

// roomy tells that most of the memory was there for the taking when the child was last looked
// at: what ran out of it did so by itself.
func (p *process) roomy(memory uint64) bool {
	return p.size < p.reserved+room(memory, p.reserved)/3
}

// failure kills the child and says what its end was.
func (p *process) failure(err error) error {
	p.kill()
	var killed *killedError
	if errors.As(err, &killed) {
		return killed
	}
	if errors.Is(err, errWire) {
		return &killedError{reason: "protocol"}
	}
	// It ended by itself, or is ending: its last words are there at once.
	select {
	case <-p.exited:
	case <-time.After(lastWords):
	}
	return &killedError{reason: p.last.reason()}
}

// tail keeps the first words of what a child says on its standard error: Go's
// runtime tells why a program ends.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write keeps what there is room for and discards the rest.
func (t *tail) Write(b []byte) (int, error) {
	const room = 2 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b[:min(len(b), room-len(t.text))]...)
	return len(b), nil
}

func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line, _, _ := bytes.Cut(t.text, []byte("\n"))
	return string(line)
}

// reason is a word for why the child ended. The text itself is not passed on: it
// comes from a process that ran other people's rules.
func (t *tail) reason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case bytes.Contains(t.text, []byte("stack overflow")):
		return "stack"
	case bytes.Contains(t.text, []byte("out of memory")), bytes.Contains(t.text, []byte("cannot allocate memory")),
		// The collector meets memory that it was not given.
		bytes.Contains(t.text, []byte("unexpected signal during runtime execution")):
		return "memory"
	case len(t.text) > 0:
		return "crash"
	default:
		return "signal"
	}
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		f.Close()
	}
}
