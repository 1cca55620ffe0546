package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
)

// Broadcast is a read-only value that every task may use. It is encoded once
// into a block; an executor decodes it at its first use and shares the
// decoded value between its tasks.
type Broadcast[T any] struct {
	s         *Session
	id        id.Broadcast
	destroyed *atomic.Bool
}

// NewBroadcast makes v available to tasks. T needs a codec; v is copied. The
// error wraps ErrClosed once Close was called; a Close that comes while v is
// being stored waits for that.
func NewBroadcast[T any](s *Session, v T) (*Broadcast[T], error) {
	data := mustCodec[T]("NewBroadcast").Append(nil, []T{v})
	s.storing.RLock()
	defer s.storing.RUnlock()
	if s.closed.Load() {
		return nil, fmt.Errorf("cannot broadcast: %w", ErrClosed)
	}
	b := &Broadcast[T]{s: s, id: s.nextBroadcast(), destroyed: new(atomic.Bool)}
	if err := s.store.PutBytes(block.Broadcast(b.id), block.MemoryAndDiskSer, data); err != nil {
		return nil, fmt.Errorf("cannot store broadcast %d of %d bytes: %w", b.id, len(data), err)
	}
	if s.record != nil {
		s.record.broadcast(b.id, data)
	}
	return b, nil
}

// BroadcastByID returns a handle of a broadcast that NewBroadcast of this
// session, or of the one whose task runs here, made of a T. It looks at
// nothing: whether the value is there, and is a T, Value tells. So the
// parameters of a Step can name a value that they do not hold.
func BroadcastByID[T any](s *Session, n id.Broadcast) *Broadcast[T] {
	mustCodec[T]("BroadcastByID")
	return &Broadcast[T]{s: s, id: n, destroyed: new(atomic.Bool)}
}

// ID returns the number that BroadcastByID takes.
func (b *Broadcast[T]) ID() id.Broadcast { return b.id }

// Value returns the value; it must not be changed. The first call on an
// executor decodes it.
func (b *Broadcast[T]) Value() (T, error) {
	var zero T
	if b.destroyed.Load() {
		return zero, fmt.Errorf("cannot read broadcast %d: %w", b.id, ErrDestroyed)
	}
	v, err := b.s.broadcasts.get(b.id, func() (any, int64, error) {
		data, release, err := b.s.store.GetBytes(block.Broadcast(b.id))
		if err != nil {
			return nil, 0, fmt.Errorf("cannot read broadcast %d: %w", b.id, err)
		}
		defer release()
		c, err := codec.For[T]()
		if err != nil {
			return nil, 0, err
		}
		own := append([]byte(nil), data...) // decoded strings are views into it
		rows, _, err := c.Decode(nil, own, 1)
		if err == nil && len(rows) != 1 {
			err = codec.ErrCorrupt
		}
		if err != nil {
			return nil, 0, fmt.Errorf("cannot decode broadcast %d: %w", b.id, err)
		}
		return rows[0], int64(len(own)), nil
	})
	if err != nil {
		return zero, err
	}
	value, ok := v.(T)
	if !ok {
		return zero, fmt.Errorf("cannot read broadcast %d as a %T: it is a %T", b.id, zero, v)
	}
	return value, nil
}

// Unpersist drops the executors' decoded copies; the value stays readable.
func (b *Broadcast[T]) Unpersist() error {
	if b.destroyed.Load() {
		return fmt.Errorf("cannot unpersist broadcast %d: %w", b.id, ErrDestroyed)
	}
	b.s.broadcasts.drop(b.id)
	return nil
}

// Destroy removes the value for good; every later use is an error.
func (b *Broadcast[T]) Destroy() error {
	if b.destroyed.Swap(true) {
		return fmt.Errorf("cannot destroy broadcast %d: %w", b.id, ErrDestroyed)
	}
	b.s.broadcasts.drop(b.id)
	b.s.store.Remove(block.Broadcast(b.id))
	return nil
}

// decodedBroadcasts are the values that an executor's tasks share.
type decodedBroadcasts struct {
	reserve func(delta int64) error // accounts for the decoded bytes, by estimate
	mu      sync.Mutex
	byID    map[id.Broadcast]*decodedBroadcast
}

type decodedBroadcast struct {
	once  sync.Once
	value any
	bytes int64
	err   error
}

func (d *decodedBroadcasts) get(n id.Broadcast, decode func() (any, int64, error)) (any, error) {
	d.mu.Lock()
	e := d.byID[n]
	if e == nil {
		if d.byID == nil {
			d.byID = map[id.Broadcast]*decodedBroadcast{}
		}
		e = &decodedBroadcast{}
		d.byID[n] = e
	}
	d.mu.Unlock()
	e.once.Do(func() {
		if e.value, e.bytes, e.err = decode(); e.err == nil {
			if e.err = d.reserve(e.bytes); e.err != nil {
				e.value, e.bytes = nil, 0
			}
		}
	})
	if e.err != nil {
		d.mu.Lock() // a later attempt may find room
		if d.byID[n] == e {
			delete(d.byID, n)
		}
		d.mu.Unlock()
	}
	return e.value, e.err
}

func (d *decodedBroadcasts) drop(n id.Broadcast) {
	d.mu.Lock()
	e := d.byID[n]
	delete(d.byID, n)
	d.mu.Unlock()
	if e != nil {
		e.once.Do(func() {}) // wait for a decoding under way
		if e.bytes > 0 {
			d.reserve(-e.bytes) // giving back cannot fail
		}
	}
}
