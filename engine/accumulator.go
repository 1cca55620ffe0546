package engine

import (
	"fmt"
	"sync"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Accumulator gathers a value from tasks. Each attempt adds to a partial
// value of its own; the driver merges the partial values of attempts that
// succeed: once a partition for result tasks, once an attempt for map tasks,
// so a map stage that runs again counts again (as in Spark).
type Accumulator[T any] struct {
	id          id.Accumulator
	name        string
	zero        T
	merge       func(a, b T) T
	codec       codec.Codec[T]
	plain       bool // T holds no views
	countFailed bool

	mu    sync.Mutex
	value T
}

// NewAccumulator makes an accumulator that merges values with merge, which
// must be associative and commutative, starting from zero. A named one
// appears in events and reports. T needs a codec.
func NewAccumulator[T any](s *Session, name string, zero T, merge func(a, b T) T) *Accumulator[T] {
	a := &Accumulator[T]{name: name, zero: zero, value: zero, merge: merge, codec: mustCodec[T]("NewAccumulator"), plain: codec.IsPlain[T]()}
	s.accumulators.add(a)
	return a
}

// NewLongAccumulator makes an accumulator that adds integers.
func NewLongAccumulator(s *Session, name string) *Accumulator[int64] {
	return NewAccumulator(s, name, 0, func(a, b int64) int64 { return a + b })
}

// NewDoubleAccumulator makes an accumulator that adds floating-point numbers.
func NewDoubleAccumulator(s *Session, name string) *Accumulator[float64] {
	return NewAccumulator(s, name, 0, func(a, b float64) float64 { return a + b })
}

// Tally counts and sums what was added: Spark's LongAccumulator and
// DoubleAccumulator. Its zero value has nothing in it.
type Tally[N int64 | float64] struct {
	Count int64
	Sum   N
}

// TallyOf returns the tally of one value.
func TallyOf[N int64 | float64](v N) Tally[N] { return Tally[N]{1, v} }

// Plus returns the tally of what is in either.
func (t Tally[N]) Plus(o Tally[N]) Tally[N] { return Tally[N]{t.Count + o.Count, t.Sum + o.Sum} }

// Average returns the mean of what was added; of nothing it is NaN.
func (t Tally[N]) Average() float64 { return float64(t.Sum) / float64(t.Count) }

// NewTally makes an accumulator that counts and sums numbers: Add takes
// TallyOf of each.
func NewTally[N int64 | float64](s *Session, name string) *Accumulator[Tally[N]] {
	return NewAccumulator(s, name, Tally[N]{}, Tally[N].Plus)
}

// CountFailed makes the accumulator count what failed attempts added too. It
// must be called before any job uses it, and returns a.
func (a *Accumulator[T]) CountFailed() *Accumulator[T] {
	a.countFailed = true
	return a
}

// partial is one attempt's part of an accumulator.
type partial[T any] struct {
	value T
	codec codec.Codec[T]
}

// AppendValue implements executor.Accumulator.
func (p *partial[T]) AppendValue(dst []byte) []byte { return p.codec.Append(dst, []T{p.value}) }

// Add merges v into the attempt's partial value. v may hold views into a
// batch: it is copied. Call Add per batch where it matters: it looks the
// partial value up.
func (a *Accumulator[T]) Add(t *Task, v T) {
	if !a.plain {
		var err error
		if v, err = reEncode(a.codec, v, true); err != nil {
			panic(fmt.Sprintf("engine: cannot add to accumulator %d (%s): %v", a.id, a.name, err))
		}
	}
	p := t.Accumulator(a.id, a.name, a.countFailed, func() executor.Accumulator {
		return &partial[T]{a.zero, a.codec}
	}).(*partial[T])
	p.value = a.merge(p.value, v)
}

// Value returns the merged value so far.
func (a *Accumulator[T]) Value() T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.value
}

// accumulator is the driver's untyped view.
type accumulator interface {
	register(n id.Accumulator)
	mergeUpdate(u *task.AccumUpdate) (update, value string, err error)
}

func (a *Accumulator[T]) register(n id.Accumulator) { a.id = n }

// mergeUpdate merges one attempt's partial value. A merge that panics leaves
// the value as it was: it is the user's function, and the scheduler calls it.
func (a *Accumulator[T]) mergeUpdate(u *task.AccumUpdate) (update, value string, err error) {
	own := append([]byte(nil), u.Value...) // strings in the value outlive the message
	rows, _, err := a.codec.Decode(nil, own, 1)
	if err != nil || len(rows) != 1 {
		return "", "", fmt.Errorf("cannot decode an update of accumulator %d (%s): %w", a.id, a.name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot merge an update of accumulator %d (%s): panic: %v", a.id, a.name, r)
		}
	}()
	a.value = a.merge(a.value, rows[0])
	if a.name != "" {
		update, value = fmt.Sprint(rows[0]), fmt.Sprint(a.value)
	}
	return update, value, nil
}

// accumulators are the driver's register.
type accumulators struct {
	mu   sync.Mutex
	byID []accumulator
}

func (r *accumulators) add(a accumulator) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.register(id.Accumulator(len(r.byID)))
	r.byID = append(r.byID, a)
}

func (r *accumulators) get(n id.Accumulator) accumulator {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n < 0 || int(n) >= len(r.byID) {
		return nil
	}
	return r.byID[n]
}
