package storage

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
)

// Conformance, area BLK. Differences by design:
//
// NOT APPLICABLE: BLK-015, because a writer is a tee: its rows have passed on
// to the consumer before the block is found not to fit, so nothing is read
// back from a partly encoded block.
// NOT APPLICABLE: BLK-020, BLK-021, because nobody replicates blocks, and there
// is no driver-side registry that a store could fall out of: where a block is,
// the stores are asked.
// BLK-018 and BLK-019 belong to the engine's tests, which have several stores.
// NOT APPLICABLE: BLK-013 as to locks, because removing needs none: the block
// is hidden at once and freed with its last reader. The rest is tested.
// NOT APPLICABLE: BLK-010 as to waiting writers, because nobody ever waits for
// a write lock: a new block has one writer, and evictions pass locked blocks
// over. The rest is tested.
// NOT APPLICABLE: BLK-001 as to the writer's own lock, because a writer is a
// tee: it reads what it passes on, not the block. The rest is tested.
// BLK-025 and the job of BLK-006 belong to the engine's tests.

var b1, b2, b3, b4, b5 = block.Node(1, 1), block.Node(2, 1), block.Node(3, 1), block.Node(4, 1), block.Node(5, 1)

func TestBLK_001_WaitersReadOrOneOfThemWrites(t *testing.T) {
	t.Run("the writer commits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1<<20)
			w, _ := r.store.NewWriter(r.task(1), b1, block.MemoryOnly)
			readers := make([]*Reader, 2, 3)
			for i := range readers {
				if _, ok := r.store.NewWriter(r.task(id.Task(i+2)), b1, block.MemoryOnly); ok {
					t.Fatal("a second writer of one block")
				}
				go func() { readers[i], _ = r.store.Open(r.task(id.Task(i+2)), b1) }()
				synctest.Wait()
			}
			if readers[0] != nil || readers[1] != nil {
				t.Fatal("a block was opened while it was being written")
			}
			if err := w.Frame(1, payload(1, 100)); err != nil {
				t.Fatal(err)
			}
			if stored, err := w.Commit(); !stored || err != nil {
				t.Fatal(stored, err)
			}
			synctest.Wait()
			locks := func(want int) {
				t.Helper()
				if info := r.store.Blocks(); len(info) != 1 || info[0].Readers != want || info[0].Writing {
					t.Fatalf("blocks %+v, want one with %d readers", info, want)
				}
			}
			locks(2)
			readers = append(readers, r.open(1, b1)) // who wrote it reads it as others do
			locks(3)
			for n := range id.Task(3) {
				if _, ok := r.store.NewWriter(r.task(n+1), b1, block.MemoryOnly); ok {
					t.Errorf("task %d writes a block that is there already", n+1)
				}
			}
			for i, rd := range readers {
				if freed := r.store.evict(1, -1); freed != 0 {
					t.Errorf("%d bytes were evicted under %d readers", freed, 3-i)
				}
				if err := compare(rd, [][]byte{payload(1, 100)}); err != nil {
					t.Error(err)
				}
				rd.Close()
				locks(2 - i)
			}
		})
	})
	t.Run("the writer gives up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1<<20)
			w, _ := r.store.NewWriter(r.task(1), b1, block.MemoryOnly)
			writers := make(chan *Writer, 2)
			read := make(chan *Reader, 2)
			for i := range 2 {
				task := r.task(id.Task(i + 2))
				go func() { // as a task that needs the partition
					for {
						rd, err := r.store.Open(task, b1)
						if err == nil {
							read <- rd
							return
						}
						if w, ok := r.store.NewWriter(task, b1, block.MemoryOnly); ok {
							writers <- w
							return
						}
					}
				}()
				synctest.Wait()
			}
			w.Abort()
			synctest.Wait()
			if len(writers) != 1 || len(read) != 0 {
				t.Fatalf("%d writers and %d readers after an abort, want exactly one writer", len(writers), len(read))
			}
			if stored, err := (<-writers).Commit(); !stored || err != nil {
				t.Fatal(stored, err)
			}
			synctest.Wait()
			if len(read) != 1 {
				t.Fatal("the other does not read what the one has written")
			}
			(<-read).Close()
		})
	})
}

func TestBLK_009_EndOfATaskReleasesItsLocks(t *testing.T) {
	r := newRig(t, 8<<20)
	const tasks, locks = 10, 50
	for i := range locks {
		r.cache(100, block.Node(1, i), block.MemoryOnly, payload(i, 10))
	}
	readers := make([][]*Reader, tasks)
	for task := range tasks {
		for i := range locks {
			readers[task] = append(readers[task], r.open(id.Task(task), block.Node(1, i)))
		}
	}
	w, _ := r.store.NewWriter(r.task(3), b2, block.MemoryOnly)
	if err := w.Frame(1, payload(1, 100)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	released := make([]int, tasks)
	for task := range tasks {
		wg.Go(func() { // the attempt's own
			for _, rd := range readers[task][:locks/2] {
				rd.Close()
			}
		})
		wg.Go(func() { released[task] = r.store.ReleaseTask(id.Task(task)) })
	}
	wg.Wait()
	for _, b := range r.store.Blocks() {
		if b.Readers != 0 || b.Writing {
			t.Errorf("block %s is still locked: %+v", b.ID, b)
		}
	}
	r.mustNotFind(1, b2)
	if released[3] < locks/2+1 {
		t.Errorf("%d locks of task 3 were released, want at least the %d nobody closed", released[3], locks/2+1)
	}
	if n := r.store.ReleaseTask(3); n != 0 {
		t.Errorf("%d locks released twice", n)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a writer commits after its attempt has ended")
	}
	if _, _, err := readers[3][locks-1].Next(); err == nil || isEOF(err) {
		t.Errorf("a reader reads after its attempt has ended: %v", err)
	}
}

func TestBLK_010_LockedBlocksAreNotWritten(t *testing.T) {
	r := newRig(t, 128*kib)
	r.cache(1, b1, block.MemoryOnly, payload(1, 60*kib))
	rd := r.open(2, b1)
	if _, ok := r.store.NewWriter(r.task(3), b1, block.MemoryOnly); ok {
		t.Error("a block that is read was given to a writer")
	}
	if freed := r.store.evict(1, -1); freed != 0 {
		t.Errorf("evicted %d bytes of a block that is read", freed)
	}
	rd.Close()
	if freed := r.store.evict(1, -1); freed != 64<<10 {
		t.Errorf("evicted %d bytes, want the block's 64 KiB", freed)
	}
}

func TestBLK_012_ReadLocksCount(t *testing.T) {
	r := newRig(t, 1<<20)
	r.cache(1, b1, block.MemoryOnly, payload(1, 10))
	readers := func() int { return r.store.Blocks()[0].Readers }
	one, two, other := r.open(1, b1), r.open(1, b1), r.open(2, b1)
	if readers() != 3 {
		t.Errorf("%d readers, want 3", readers())
	}
	one.Close()
	one.Close() // counts once
	if readers() != 2 {
		t.Errorf("%d readers after one closed, want 2", readers())
	}
	two.Close()
	other.Close()
	if readers() != 0 {
		t.Errorf("%d readers, want 0", readers())
	}
	w, _ := r.store.NewWriter(r.task(1), b2, block.MemoryOnly)
	if _, ok := r.store.NewWriter(r.task(1), b2, block.MemoryOnly); ok {
		t.Error("a write lock was taken twice")
	}
	if _, err := r.store.Open(r.task(1), b2); err == nil || errors.Is(err, ErrBlockNotFound) {
		t.Errorf("opening a block that the same attempt writes: %v, want an error instead of a wait for itself", err)
	}
	w.Abort()
}

func TestBLK_013_RemovingABlockThatIsRead(t *testing.T) {
	for _, level := range []block.Level{block.MemoryOnly, block.DiskOnly} {
		r := newRig(t, 1<<20)
		if r.store.Remove(b1) {
			t.Error("an unknown block was removed")
		}
		want := [][]byte{payload(1, 1000), payload(2, 1000)}
		r.cache(1, b1, level, want...)
		rd := r.open(1, b1)
		if !r.store.Remove(b1) || r.store.Remove(b1) {
			t.Error("a block is removed once")
		}
		r.mustNotFind(2, b1)
		other := [][]byte{payload(3, 500)}
		r.cache(2, b1, level, other...) // a new block of that name
		if err := compare(rd, want); err != nil {
			t.Errorf("%v: the reader of the removed block: %v", level, err)
		}
		rd.Close()
		r.mustRead(3, b1, other...)
	}
}

// Waiting for a writer ends with the attempt's kill, and serves requests to
// spill meanwhile.
func TestWaitForAWriterEndsWithTheKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1<<20)
		w, _ := r.store.NewWriter(r.task(1), b1, block.MemoryOnly)
		waiter := r.task(2)
		spilled := false
		table := waiter.Consumer("table", nil)
		sorter := waiter.Consumer("sorter", func(int64) (int64, error) {
			spilled = true
			n := table.Used()
			table.Release(n)
			return n, nil
		})
		if err := sorter.Need(1); err != nil {
			t.Fatal(err)
		}
		if got := table.Acquire(1 << 20); got == 0 {
			t.Fatal("no memory")
		}
		var opened error
		go func() { _, opened = r.store.Open(waiter, b1) }()
		synctest.Wait()

		other := r.task(3).Consumer("table", nil)
		if got := other.Acquire(300 << 10); got != 300<<10 || !spilled {
			t.Errorf("another attempt got %d, spilled %v; want what it asked for, spilled by the waiter", got, spilled)
		}
		other.Close()
		cause := errors.New("cancelled")
		waiter.Kill(cause)
		synctest.Wait()
		if !errors.Is(opened, cause) {
			t.Errorf("the wait ended with %v, want the kill's cause", opened)
		}
		sorter.Close()
		table.Close()
		w.Abort()
	})
}
