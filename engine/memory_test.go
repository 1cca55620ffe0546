package engine_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// noise makes n random records of 100 bytes, the same every time.
func noise(s *engine.Session, n, parts int) *engine.Dataset[[100]byte] {
	return engine.FromFunc(s, "noise", parts, func(_ *engine.Task, part int, emit func([][100]byte) error) error {
		rng := rand.New(rand.NewPCG(7, uint64(part)))
		b := make([][100]byte, 0, 1000)
		for i := part * n / parts; i < (part+1)*n/parts; i++ {
			var v [100]byte
			for j := 0; j < 100; j += 4 {
				x := rng.Uint32()
				v[j], v[j+1], v[j+2], v[j+3] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
			}
			if b = append(b, v); len(b) == cap(b) {
				if err := emit(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		return emit(b)
	})
}

// fingerprint is the same for two datasets of the same records in any order.
type fingerprint struct {
	Rows int64
	Sum  uint64
}

func fingerprintOf(ctx context.Context, d *engine.Dataset[[100]byte]) (f fingerprint, err error) {
	err = engine.RunJob(ctx, d, nil, func(_ *engine.Task, next func(func([][100]byte) error) error) (f fingerprint, err error) {
		err = next(func(b [][100]byte) error {
			for i := range b {
				f.Sum += uint64(crc32.ChecksumIEEE(b[i][:]))
			}
			f.Rows += int64(len(b))
			return nil
		})
		return f, err
	}, func(_ int, p fingerprint) error {
		f.Rows, f.Sum = f.Rows+p.Rows, f.Sum+p.Sum
		return nil
	})
	return f, err
}

// wantSorted checks, by streaming, that sorted holds the records of d in
// order.
func wantSorted(t *testing.T, d, sorted *engine.Dataset[[100]byte]) {
	t.Helper()
	want, err := fingerprintOf(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var got fingerprint
	var last [100]byte
	for b, err := range sorted.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			if bytes.Compare(last[:10], b[i][:10]) > 0 {
				t.Fatalf("record %d is out of order", got.Rows+int64(i))
			}
			last = b[i]
			got.Sum += uint64(crc32.ChecksumIEEE(b[i][:]))
		}
		got.Rows += int64(len(b))
	}
	check(t, nil, got, want)
}

func key10(v [100]byte) [10]byte { return [10]byte(v[:10]) }

// TestSortOfMoreThanMemory sorts 200 MB where 64 MiB are managed (20 MB under
// -short and the race detector, with less memory).
func TestSortOfMoreThanMemory(t *testing.T) {
	n, budget := 2_000_000, 96*units.MiB
	if testing.Short() || raceEnabled {
		n, budget = 400_000, 64*units.MiB
	}
	for _, where := range []string{"auto", "disk"} {
		t.Run(where, func(t *testing.T) {
			r := start(t, engine.Config{Memory: budget, Conf: conf("shuffle.storage", where, "unsafe.exceptionOnMemoryLeak", "true")})
			d := noise(r.Session, n, 6)
			wantSorted(t, d, engine.SortBy(d, key10, engine.Partitions(4)))
			var m task.Metrics
			for _, e := range of[*event.TaskEnd](r.rec) {
				m.Add(&e.Metrics)
				check(t, nil, e.Metrics[task.LeakedMemory], 0)
			}
			if m[task.DiskBytesSpilled] == 0 && len(r.files("shuffle_")) == 0 {
				t.Error("nothing was spilled: the test proves nothing")
			}
			if max := int64(budget - 32*units.MiB); m[task.PeakExecutionMemory] <= 0 || m[task.PeakExecutionMemory] > max {
				t.Errorf("an attempt held %d of %d bytes", m[task.PeakExecutionMemory], max)
			}
			check(t, nil, r.rec.ended(task.ExceptionFailure), 0)
		})
	}
}

// TestSORT_006: two chained wide operations with next to no memory.
func TestSORT_006_ChainedUnderTinyMemory(t *testing.T) {
	// One worker, the least memory it may have, and room for the 11 MiB of
	// results that the caller collects.
	r := start(t, engine.Config{Cores: 1, Memory: 60 * units.MiB, Conf: conf("unsafe.exceptionOnMemoryLeak", "true")})
	n, keys := 1_500_000, 700_000
	d := keyed(r.Session, n, keys, 4)
	sums := engine.ReduceByKey(d, add, engine.Partitions(3))
	sorted := engine.SortBy(sums, func(p engine.Pair[int64, int64]) int64 { return -p.Key }, engine.Partitions(3))
	got, err := sorted.Collect(t.Context())
	wantPairs(t, err, got, wantSums(n, keys))
	for i := range got {
		if got[i].Key != int64(keys-1-i) {
			t.Fatalf("row %d has key %d", i, got[i].Key)
		}
	}
	spills := int64(0)
	for _, e := range of[*event.TaskEnd](r.rec) {
		spills += e.Metrics[task.SpillCount]
	}
	if spills == 0 {
		t.Error("nothing was spilled: the test proves nothing")
	}
	groups := engine.GroupByKey(d, engine.Partitions(2))
	total, err := engine.Map(groups, func(g engine.Pair[int64, []int64]) int64 { return int64(len(g.Value)) }).Collect(t.Context())
	check(t, err, len(total), keys)
	sum := int64(0)
	for _, v := range total {
		sum += v
	}
	check(t, nil, sum, int64(n))
}

// TestSORT_007: peak memory always, spill figures only where it spilled.
func TestSORT_007_FiguresOfSpilling(t *testing.T) {
	for _, c := range []struct {
		name   string
		memory units.Bytes
		rows   int
		spills bool
	}{{"fits", 256 * units.MiB, 50_000, false}, {"spills", 64 * units.MiB, 500_000, true}} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, engine.Config{Memory: c.memory})
			count, err := engine.SortBy(noise(r.Session, c.rows, 3), key10, engine.Partitions(1)).Count(t.Context())
			check(t, err, count, int64(c.rows))
			var m task.Metrics
			for _, e := range of[*event.TaskEnd](r.rec) {
				m.Add(&e.Metrics)
			}
			spilled := m[task.SpillCount] > 0 && m[task.MemoryBytesSpilled] > 0 && m[task.DiskBytesSpilled] > 0 && m[task.SpillTime] > 0
			none := m[task.SpillCount] == 0 && m[task.MemoryBytesSpilled] == 0 && m[task.DiskBytesSpilled] == 0 && m[task.SpillTime] == 0
			if m[task.PeakExecutionMemory] == 0 || c.spills != spilled || !c.spills != none {
				t.Errorf("peak %d, spills %d, bytes %d in memory, %d on disk, %d ns", m[task.PeakExecutionMemory],
					m[task.SpillCount], m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], m[task.SpillTime])
			}
		})
	}
}

// TestEXE_003: memory that user code reserves and forgets.
func TestEXE_003_LeakedMemory(t *testing.T) {
	leak := func(t *engine.Task, _ []int64) error {
		_, err := t.Reserve("forgotten", 100*units.KiB)
		return err
	}
	t.Run("reported", func(t *testing.T) {
		r := start(t, engine.Config{})
		if err := engine.Range(r.Session, 4, 4).Foreach(t.Context(), leak); err != nil {
			t.Fatal(err)
		}
		for _, e := range of[*event.TaskEnd](r.rec) {
			check(t, nil, e.Metrics[task.LeakedMemory], 100*1024)
		}
		check(t, nil, r.held("forgotten"), 0)
	})
	t.Run("strict", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("unsafe.exceptionOnMemoryLeak", "true", "task.maxFailures", "1")})
		err := engine.Range(r.Session, 4, 4).Foreach(t.Context(), leak)
		wantError(t, err, "102400 bytes")
		err = engine.Range(r.Session, 4, 4).Foreach(t.Context(), func(t *engine.Task, b []int64) error {
			if err := leak(t, b); err != nil {
				return err
			}
			return errors.New("its own reason")
		})
		wantError(t, err, "its own reason")
	})
	t.Run("released", func(t *testing.T) {
		r := start(t, engine.Config{Conf: conf("unsafe.exceptionOnMemoryLeak", "true")})
		err := engine.Range(r.Session, 4, 4).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
			m, err := t.Reserve("scratch", units.MiB)
			if err != nil {
				return err
			}
			defer m.Release()
			if m.Bytes() != units.MiB {
				return errors.New("another size is reserved")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// What is written out so that somebody gets memory is in that attempt's
// figures, its time as spilling, or, when no attempt asked, in the session's.
func TestWhoIsChargedForShuffleOutputsWrittenOut(t *testing.T) {
	var own atomic.Int64
	r := start(t, engine.Config{Cores: 1, Memory: 64 * units.MiB, Events: []event.Sink{sinkFunc(func(e event.Event) {
		if m, ok := e.(*event.MemorySample); ok {
			own.Store(m.EvictedMemory)
			if (m.EvictedMemory == 0) != (m.EvictedDisk == 0) {
				t.Errorf("%d bytes of memory given up for %d on disk", m.EvictedMemory, m.EvictedDisk)
			}
		}
	})}})
	shuffled := engine.Repartition(engine.Range(r.Session, 1_000_000, 4), 3) // 8 MB
	spills := func() (memory, disk, count, time int64) {
		for _, e := range of[*event.TaskEnd](r.rec) {
			memory += e.Metrics[task.MemoryBytesSpilled]
			disk += e.Metrics[task.DiskBytesSpilled]
			count += e.Metrics[task.SpillCount]
			time += e.Metrics[task.SpillTime]
		}
		return memory, disk, count, time
	}
	n, err := shuffled.Count(t.Context())
	check(t, err, n, 1_000_000)
	all := r.held("shuffle")
	memory, disk, _, _ := spills()
	check(t, nil, []int64{memory, disk}, []int64{0, 0})

	err = engine.Range(r.Session, 1, 1).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
		scratch, err := t.Reserve("scratch", 29*units.MiB) // of 32
		if err != nil {
			return err
		}
		scratch.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	memory, disk, count, time := spills()
	gone := all - r.held("shuffle")
	if gone == 0 || memory != gone || disk < gone/2 || count == 0 || time == 0 {
		t.Errorf("outputs gave up %d bytes; spilled %d to %d on disk in %d spills, %d ns", gone, memory, disk, count, time)
	}
	check(t, nil, own.Load(), 0)

	held, err := r.Reserve("harness", 31*units.MiB)
	if err != nil {
		t.Fatal(err)
	}
	held.Release()
	r.Phase("mark", 0)(nil) // takes a sample
	check(t, nil, own.Load(), all-gone-r.held("shuffle"))
	if own.Load() == 0 {
		t.Error("nothing was written out for the reservation")
	}
	memory, _, _, _ = spills()
	check(t, nil, memory, gone)
	n, err = shuffled.Count(t.Context())
	check(t, err, n, 1_000_000)
}

func TestReserveTooMuch(t *testing.T) {
	r := start(t, engine.Config{Memory: 64 * units.MiB, Conf: conf("task.maxFailures", "1")})
	err := engine.Range(r.Session, 1, 1).Foreach(t.Context(), func(t *engine.Task, _ []int64) error {
		_, err := t.Reserve("scratch", units.GiB)
		if !errors.Is(err, engine.ErrNoMemory) {
			return errors.New("not refused as memory that is not there")
		}
		return err
	})
	wantError(t, err, "scratch")
}

// Nothing is kept by a session after jobs that failed in every way.
func TestNothingIsHeldBetweenJobs(t *testing.T) {
	r := start(t, engine.Config{Memory: 64 * units.MiB, Conf: conf("task.maxFailures", "1")})
	for range 3 {
		scope := r.Scope()
		bad := engine.MapBatches(engine.SortBy(noise(scope, 200_000, 3), key10, engine.Partitions(2)), func(t *engine.Task, _ []int64, _ [][100]byte) ([]int64, error) {
			return nil, errors.New("midway")
		})
		_, err := bad.Count(t.Context())
		wantError(t, err, "midway")
		scope.Release()
	}
	r.finish() // Close names what is still reserved
}

func TestTooLittleMemoryToOpen(t *testing.T) {
	dir := t.TempDir()
	_, err := engine.Open(engine.Config{Cores: 8, Memory: 40 * units.MiB, Temp: dir})
	wantError(t, err, "8 cores", "at least")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("a session that was not opened left %v", left)
	}
	_, err = engine.Open(engine.Config{Cores: 1, Memory: 64 * units.MiB, Temp: dir, Conf: conf("task.maxFailure", "1")})
	wantError(t, err, "task.maxFailures")
}
