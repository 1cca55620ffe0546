package engine

import (
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/units"
)

// attemptContext is the executor's view of an attempt, embedded under a name
// that leaves Context free for the method.
type attemptContext = executor.Context

// Task is the running attempt, handed to user functions: its identity and
// properties, Context and Check for cancellation, listeners, barriers,
// files, and memory by name. It is for the attempt's own goroutine, and
// useless after it.
type Task struct {
	*attemptContext
	s     *Session
	stage *stage
	input Input
}

// Input is where an attempt reads at the moment.
type Input struct {
	Path   string // empty: it reads no file
	Offset int64  // of the piece of the file that it reads
}

// Input returns what the attempt reads at the moment.
func (t *Task) Input() Input { return t.input }

// Property returns a property of the attempt's job (WithProperty).
func (t *Task) Property(key string) string { return t.Properties[key] }

// Reserve takes n bytes of the attempt's memory under a name, for what user
// code holds on the Go heap. Other consumers of the attempt spill if they
// must; if that does not suffice the error wraps ErrNoMemory. What is not
// released is reported as a leak.
func (t *Task) Reserve(name string, n units.Bytes) (*Reservation, error) {
	c := t.Memory().Consumer(name, nil)
	if err := c.Need(int64(n)); err != nil {
		c.Close()
		return nil, err
	}
	return &Reservation{c: c}, nil
}

// Reservation is memory that an attempt holds by name.
type Reservation struct{ c *memory.Consumer }

// Bytes returns how much is reserved.
func (r *Reservation) Bytes() units.Bytes { return units.Bytes(r.c.Used()) }

// Release gives everything back. It is safe to call twice.
func (r *Reservation) Release() { r.c.Close() }

// ErrNoMemory is wrapped by every refusal of memory.
var ErrNoMemory = memory.ErrNoMemory

// taskBuffer is a growing buffer on the Go heap that is reserved from its
// attempt's memory until close. What a failed attempt did not close goes with
// its account.
type taskBuffer struct {
	c *memory.Consumer
	b []byte
}

func newTaskBuffer(t *Task, name string) *taskBuffer {
	return &taskBuffer{c: t.Memory().Consumer(name, nil)}
}

func (b *taskBuffer) close() {
	b.b = nil
	b.c.Close()
}

// grow appends with f and reserves what the buffer grew by.
func (b *taskBuffer) grow(f func(dst []byte) []byte) error {
	before := cap(b.b)
	b.b = f(b.b)
	if more := cap(b.b) - before; more > 0 {
		return b.c.Need(int64(more))
	}
	return nil
}
