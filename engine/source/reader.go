package source

import (
	"fmt"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Buffers is where readers take their buffers from.
type Buffers interface {
	// Alloc returns at least n bytes, whatever they hold, aligned to 8.
	Alloc(n int) ([]byte, error)
	// Free takes back what Alloc returned, from its first byte on.
	Free(b []byte)
}

// Heap takes buffers from the Go heap and leaves them to the collector.
var Heap Buffers = heap{}

type heap struct{}

func (heap) Alloc(n int) ([]byte, error) { return make([]byte, n), nil }
func (heap) Free([]byte)                 {}

const (
	// DefaultBlock is how much is read at once: large enough that the cost
	// of a system call does not show, small enough that what was just read is
	// still in the second-level cache when it is parsed.
	DefaultBlock = 256 * units.KiB
	// DefaultItemMax bounds one line, chunk item or CSV row.
	DefaultItemMax = 64 * units.MiB
	// blockMin and itemCeiling keep odd settings working: offsets within a
	// buffer are 32 bits wide.
	blockMin    = 512
	itemCeiling = 1 << 31
)

// Reader reads splits for one attempt. Zero fields mean what they say; a
// Reader may be copied before use, and is used by one goroutine at a time.
type Reader struct {
	FS      fsys.FS       // nil: fsys.OS
	Buffers Buffers       // nil: Heap
	Block   units.Bytes   // bytes read at once; 0: DefaultBlock
	ItemMax units.Bytes   // longest item; 0: DefaultItemMax
	Metrics *task.Metrics // input bytes and records are added; nil: not counted
	Timer   *task.Timer   // reading (and decompressing) is charged to PartInputRead; nil: not timed
	// Check is asked before each block; its error ends the reading. nil:
	// never.
	Check func() error
	// Begin is told of each piece before its first item; nil: nobody.
	Begin func(p *Piece)
}

// buffer is the one buffer of a reading, which grows for long items.
type buffer struct {
	from Buffers
	b    []byte
}

func (r *Reader) newBuffer() (*buffer, error) {
	size := int(max(min(r.block(), itemCeiling), blockMin))
	from := r.Buffers
	if from == nil {
		from = Heap
	}
	b, err := from.Alloc(size)
	if err != nil {
		return nil, fmt.Errorf("cannot get an input buffer: %w", err)
	}
	return &buffer{from, b[:size:size]}, nil
}

// grow doubles the buffer up to limit, keeping its first keep bytes, and
// reports false when it is as large already.
func (b *buffer) grow(keep, limit int) (bool, error) {
	if len(b.b) >= limit {
		return false, nil
	}
	size := min(2*len(b.b), limit)
	larger, err := b.from.Alloc(size)
	if err != nil {
		return false, fmt.Errorf("cannot grow an input buffer to %s: %w", units.Bytes(size), err)
	}
	larger = larger[:size:size]
	copy(larger, b.b[:keep])
	b.from.Free(b.b)
	b.b = larger
	return true, nil
}

func (b *buffer) free() { b.from.Free(b.b) }

func (r *Reader) fs() fsys.FS {
	if r.FS == nil {
		return fsys.OS
	}
	return r.FS
}

func (r *Reader) block() units.Bytes {
	if r.Block == 0 {
		return DefaultBlock
	}
	return r.Block
}

// itemMax is never below the block, so that any buffer can be filled.
func (r *Reader) itemMax() int {
	m := r.ItemMax
	if m == 0 {
		m = DefaultItemMax
	}
	return int(min(max(m, r.block(), blockMin), itemCeiling))
}

func (r *Reader) check() error {
	if r.Check == nil {
		return nil
	}
	return r.Check()
}

func (r *Reader) enter(p task.Part) task.Part {
	if r.Timer == nil {
		return p
	}
	return r.Timer.Switch(p)
}

func (r *Reader) count(m task.Metric, n int) {
	if r.Metrics != nil {
		r.Metrics[m] += int64(n)
	}
}
