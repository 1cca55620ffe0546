package engine

import (
	"encoding/binary"
	"errors"

	"github.com/execbench/execbench/engine/codec"
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
	g     *group // the executor that runs it
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
// attempt's memory until close: first the memory, then the bytes. What a
// failed attempt did not close goes with its account.
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

// room makes sure that n bytes fit behind what is there. The buffer doubles if
// there is memory for that, else grows by a quarter: by less it would move
// with every batch. While it moves, both places are reserved.
func (b *taskBuffer) room(n int) error {
	old, least := cap(b.b), len(b.b)+n
	if least <= old {
		return nil
	}
	size := max(least, 2*old)
	err := b.c.Need(int64(size))
	if less := max(least, old+old/4); errors.Is(err, memory.ErrNoMemory) && less < size {
		size = less
		err = b.c.Need(int64(size))
	}
	if err != nil {
		return err
	}
	b.b = append(make([]byte, 0, size), b.b...)
	b.c.Release(int64(old))
	return nil
}

// appendRows appends encoded rows. A codec of the user's that does not tell
// sizes is the one case in which the bytes come before their memory.
func appendRows[T any](b *taskBuffer, c codec.Codec[T], rows []T) error {
	if sizer, ok := c.(codec.Rows[T]); ok {
		if err := b.room(sizer.Size(rows)); err != nil {
			return err
		}
		b.b = c.Append(b.b, rows)
		return nil
	}
	before := cap(b.b)
	b.b = c.Append(b.b, rows)
	if more := cap(b.b) - before; more > 0 {
		return b.c.Need(int64(more))
	}
	return nil
}

const (
	// resultHead is room in front of a result for the head of the message that
	// it travels in, so that a large result is not copied to get there.
	resultHead = 128
	// resultTail is room behind it, for the attempt's metrics and checksums.
	resultTail = 1 << 10
)

// newResultBuffer returns a buffer for rows that are to become a result.
func newResultBuffer(t *Task) (*taskBuffer, error) {
	b := newTaskBuffer(t, "result")
	t.HoldResult(b.c) // until the result has been sent
	if err := b.room(resultHead + resultTail); err != nil {
		return nil, err
	}
	b.b = b.b[:resultHead]
	return b, nil
}

// result returns dst with a count of rows and what the buffer holds behind it:
// in the buffer's own memory, if dst fits its head.
func (b *taskBuffer) result(dst []byte, rows int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(rows))
	at := resultHead - len(dst)
	if at < 0 {
		return append(dst, b.b[resultHead:]...)
	}
	copy(b.b[at:], dst)
	return b.b[at:]
}
