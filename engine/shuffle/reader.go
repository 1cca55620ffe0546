package shuffle

import (
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// Source names what a reduce task reads.
type Source struct {
	Shuffle id.Shuffle
	// Statuses are where the map outputs are, by map index; nil for one that
	// is missing. They are not changed.
	Statuses []*task.MapStatus
	// From and To are the reducers to read, To excluded.
	From, To int
	// Peer returns the manager of another executor, nil if it is lost. It may
	// be nil when there is one executor.
	Peer func(id.Executor) *Manager
}

// Frame is one encoded batch of a block.
type Frame struct {
	Rows int
	Data []byte
	// Uncombined says of a shuffle written by a [CombineWriter] that the rows
	// are pairs with values, not with partial results.
	Uncombined bool
	// Pin keeps Data where it is beyond the next call of Next, for those who
	// retain it.
	Pin spill.Pin
}

// Reader hands a reduce task its frames: map output by map output in the
// order of their index, so that the order of rows does not depend on timing.
// Frames of outputs in memory are read in place; blocks in files are read in
// large pieces. What is missing or damaged ends it with a *task.Failure of
// kind FetchFailed. A Reader is used on its attempt's goroutine.
type Reader struct {
	m    *Manager
	env  spill.Env
	from Source
	c    *memory.Consumer

	index  int // of the map output being read; -1 before the first
	block  blockReader
	remote bool
	closed bool
}

// blockReader reads one map output's blocks.
type blockReader interface {
	// next returns the next frame or io.EOF.
	next() (Frame, int, error)
	// close lets go of what nobody retains.
	close()
}

// NewReader returns a reader of what statuses say. m is the executor's own
// manager. Close frees what the reader holds, but not what was retained.
func NewReader(m *Manager, env spill.Env, from Source) *Reader {
	if env.Metrics == nil {
		env.Metrics = new(task.Metrics)
	}
	if env.Timer == nil {
		env.Timer = new(task.Timer)
	}
	if env.Check == nil {
		env.Check = func() error { return nil }
	}
	return &Reader{m: m, env: env, from: from, c: env.Memory.Consumer("shuffle read", nil), index: -1}
}

// Bytes returns about how many stored bytes there are to read.
func (r *Reader) Bytes() (n int64) {
	for _, s := range r.from.Statuses {
		if s == nil {
			continue
		}
		for p := r.from.From; p < r.from.To; p++ {
			n += s.Size(p)
		}
	}
	return n
}

// Next returns the next frame, valid until the next call unless its Pin is
// retained. The error is io.EOF at the end, and a *task.Failure when a block
// cannot be read.
func (r *Reader) Next() (Frame, error) {
	if err := r.env.Check(); err != nil {
		return Frame{}, err
	}
	defer r.env.Timer.Switch(r.env.Timer.Switch(task.PartShuffleFetchWait))
	for {
		if r.block != nil {
			f, stored, err := r.block.next()
			if err == nil {
				r.count(f.Rows, stored)
				return f, nil
			}
			if err != io.EOF {
				return Frame{}, err
			}
			r.block.close()
			r.block = nil
		}
		if err := r.open(); err != nil {
			return Frame{}, err
		}
	}
}

func (r *Reader) count(rows, stored int) {
	m := r.env.Metrics
	m[task.ShuffleRecordsRead] += int64(rows)
	if r.remote {
		m[task.ShuffleRemoteBytesRead] += int64(stored)
	} else {
		m[task.ShuffleLocalBytesRead] += int64(stored)
	}
}

// open begins the next map output that has something for the reducers.
func (r *Reader) open() error {
	for r.index++; r.index < len(r.from.Statuses); r.index++ {
		s := r.from.Statuses[r.index]
		if s == nil {
			return r.missing()
		}
		blocks := int64(0)
		for p := r.from.From; p < r.from.To; p++ {
			if s.Size(p) > 0 {
				blocks++
			}
		}
		if blocks == 0 {
			continue
		}
		m := r.m
		if r.remote = s.Location.Executor != r.m.cfg.At.Executor; r.remote {
			m = nil
			if r.from.Peer != nil {
				m = r.from.Peer(s.Location.Executor)
			}
		}
		if m == nil {
			return r.failed(r.from.From, fmt.Errorf("executor %q is not there", s.Location.Executor))
		}
		if r.remote {
			r.env.Metrics[task.ShuffleRemoteBlocksFetched] += blocks
		} else {
			r.env.Metrics[task.ShuffleLocalBlocksFetched] += blocks
		}
		b, err := r.openBlock(m, outputID{r.from.Shuffle, s.Map})
		if err != nil {
			return err
		}
		r.block = b
		return nil
	}
	return io.EOF
}

func (r *Reader) openBlock(m *Manager, n outputID) (blockReader, error) {
	o, res := m.pin(n)
	if o == nil {
		return nil, r.failed(r.from.From, fmt.Errorf("its output is not there"))
	}
	if o.reducers < r.from.To {
		m.unpin(o)
		return nil, r.failed(r.from.From, fmt.Errorf("its output is cut for %d reducers", o.reducers))
	}
	if res != nil {
		return newResidentReader(r, m, o, res), nil
	}
	defer m.unpin(o) // its files stay readable while they are open
	return r.openFiles(m, o)
}

// missing is the failure of a map output whose place nobody knows.
func (r *Reader) missing() error {
	return &task.Failure{
		Kind: task.FetchFailed,
		Message: fmt.Sprintf("cannot read shuffle %d for reducer %d: the output of map %d is missing",
			r.from.Shuffle, r.from.From, r.index),
		Fetch: task.FetchFailure{Shuffle: r.from.Shuffle, Map: -1, MapIndex: -1, Reduce: int32(r.from.From)},
	}
}

// status returns the status of the map output being read.
func (r *Reader) status() *task.MapStatus { return r.from.Statuses[r.index] }

// failed makes the failure of the present map output for one reducer. Errors
// that are the attempt's own, not the block's, pass as they are.
func (r *Reader) failed(reducer int, cause error) error {
	s := r.status()
	return &task.Failure{
		Kind: task.FetchFailed,
		Message: fmt.Sprintf("cannot read shuffle %d for reducer %d from map %d (task %d) of executor %q: %v",
			r.from.Shuffle, reducer, r.index, s.Map, s.Location.Executor, cause),
		Fetch: task.FetchFailure{
			Executor: s.Location.Executor, Shuffle: r.from.Shuffle, Map: s.Map,
			MapIndex: int32(r.index), Reduce: int32(reducer),
		},
	}
}

// Close lets go of what nobody retains. It is safe to call twice. Memory of
// frames still retained is freed when they are released.
func (r *Reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.block != nil {
		r.block.close()
		r.block = nil
	}
	if r.c.Used() == 0 {
		r.c.Close()
	}
}
