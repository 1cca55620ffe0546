package storage

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/units"
)

func withReadBack(n units.Bytes) func(*Config, *fsys.FS) {
	return func(c *Config, _ *fsys.FS) { c.ReadBack = n }
}

// settled waits until the cache has carried out what was set.
func (r *rig) settled() { r.store.readBack.mu.cache.Wait() }

func TestReadBackServesWithoutTheFile(t *testing.T) {
	faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpRead})
	r := newRig(t, 8<<20, withReadBack(2*units.MiB), func(_ *Config, fs *fsys.FS) { *fs = faulty })
	frames := [][]byte{payload(1, full), payload(2, full), payload(3, 100)}
	r.cache(1, b1, block.DiskOnly, frames...)
	r.mustRead(1, b1, frames...)
	r.settled()
	before := faulty.Counted()
	r.mustRead(2, b1, frames...)
	if reads := faulty.Counted() - before; reads > 2 { // the head and the end
		t.Errorf("%d reads of the file, want the frames from the cache", reads)
	}
	if got := r.account("read-back cache"); got != 144<<10 {
		t.Errorf("copies take %d bytes, want 144 KiB", got)
	}
	r.store.Remove(b1)
	r.settled()
	if got := r.account("read-back cache"); got != 0 {
		t.Errorf("copies of a removed block take %d bytes", got)
	}
}

// It never takes what anybody needs, and goes whole when somebody does.
func TestReadBackIsDroppedWhole(t *testing.T) {
	r := newRig(t, 1<<20, withReadBack(512*units.KiB))
	frames := [][]byte{payload(1, full), payload(2, full), payload(3, full)}
	r.cache(1, b1, block.DiskOnly, frames...)
	r.mustRead(1, b1, frames...)
	r.settled()
	rd := r.open(1, b1)
	_, view, err := rd.Next() // a copy that is being read
	if err != nil || rd.copied == nil {
		t.Fatal("no copy was read", err)
	}
	table := r.task(2).Consumer("table", nil)
	if got := table.Acquire(1 << 20); got != 960<<10 {
		t.Errorf("execution got %d bytes, want all but the copy that is being read", got)
	}
	if string(view) != string(frames[0]) {
		t.Error("a copy changed under its reader")
	}
	rd.Close()
	if got := r.account("read-back cache"); got != 0 {
		t.Errorf("copies take %d bytes", got)
	}
	table.Close()
	r.mustRead(3, b1, frames...)
}

func TestReadBackStaysWithinItsLimit(t *testing.T) {
	const limit = 256 << 10
	r := newRig(t, 8<<20, withReadBack(limit))
	frames := [][]byte{payload(1, full), payload(2, full), payload(3, full)}
	for i := range 10 {
		r.cache(1, block.Node(1, i), block.DiskOnly, frames...)
	}
	for range 5 {
		for i := range 10 {
			r.mustRead(1, block.Node(1, i), frames...)
			if got := r.account("read-back cache"); got > limit {
				t.Fatalf("copies take %d bytes of %d", got, limit)
			}
		}
	}
}

// A block written again under its old name is never read from old copies.
func TestReadBackKnowsNewContent(t *testing.T) {
	r := newRig(t, 8<<20, withReadBack(2*units.MiB))
	for i := range 50 {
		want := [][]byte{payload(i, 1000), payload(i+1, 2000)}
		r.cache(1, b1, block.DiskOnly, want...)
		r.mustRead(1, b1, want...)
		r.mustRead(1, b1, want...)
		r.store.Remove(b1)
	}
}

// Readers, writers, evictions and removals at once: what is read is right,
// and in the end nothing is held.
func TestStoreUnderConcurrency(t *testing.T) {
	r := newRig(t, 2<<20, withReadBack(256*units.KiB))
	r.store.cfg.OnUpdate = nil
	content := func(n, p int) [][]byte {
		return [][]byte{payload(n*100+p, 20<<10), payload(n*100+p+1, 30<<10), payload(n, 10)}
	}
	levels := []block.Level{block.MemoryOnly, block.MemoryAndDisk, block.DiskOnly}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 9))
			for i := range 80 {
				task := r.memory.NewTask(id.Task(w*1000 + i))
				n, p := 1+rnd.IntN(3), rnd.IntN(12)
				b, want := block.Node(id.Node(n), p), content(n, p)
				table := task.Consumer("table", nil)
				if rnd.IntN(4) == 0 {
					table.Acquire(int64(rnd.IntN(1 << 20)))
				}
				if rd, err := r.store.Open(task, b); err == nil {
					table.Close()
					if err := compare(rd, want); err != nil {
						t.Errorf("block %s: %v", b, err)
					}
					rd.Close()
				} else if wr, ok := r.store.NewWriter(task, b, levels[n-1]); ok {
					for i, f := range want {
						if err := wr.Frame(i+1, f); err != nil {
							t.Error(err)
						}
					}
					switch rnd.IntN(8) {
					case 0:
						wr.Abort()
					case 1: // left to the end of the attempt
					default:
						if _, err := wr.Commit(); err != nil {
							t.Error(err)
						}
					}
				}
				switch rnd.IntN(30) {
				case 0:
					r.store.RemoveNode(id.Node(n))
				case 1:
					r.store.Remove(b)
				}
				r.store.ReleaseTask(task.ID())
				task.Close()
			}
		})
	}
	wg.Wait()
	for _, b := range r.store.Blocks() {
		if b.Readers != 0 || b.Writing {
			t.Errorf("block %s is still locked", b.ID)
		}
	}
	if _, err := os.Stat(r.disk.Dir()); err != nil {
		t.Error(err)
	}
}

// A copy found just as the cache lets go of it is no copy any more.
func TestFreedCopyCannotBeReferenced(t *testing.T) {
	r := newRig(t, 1<<20, withReadBack(256*units.KiB))
	f := r.store.readBack.alloc(100)
	if !f.ref() {
		t.Fatal("a live copy was refused")
	}
	f.unref()
	f.unref()
	if f.ref() {
		t.Error("a freed copy was referenced")
	}
	if got := r.account("read-back cache"); got != 0 {
		t.Errorf("copies take %d bytes", got)
	}
}
