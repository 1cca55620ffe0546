package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
)

func TestBCT_001_DestroyAndUnpersist(t *testing.T) {
	r := start(t, engine.Config{})
	b, err := engine.NewBroadcast(r.Session, []string{"zero", "one", "two"})
	if err != nil {
		t.Fatal(err)
	}
	look := func() ([]string, error) {
		return engine.MapBatches(engine.Range(r.Session, 3, 3), func(t *engine.Task, dst []string, src []int64) ([]string, error) {
			words, err := b.Value()
			if err != nil {
				return nil, err
			}
			for _, v := range src {
				dst = append(dst, words[v])
			}
			return dst, nil
		}).Collect(t.Context())
	}
	got, err := look()
	check(t, err, got, []string{"zero", "one", "two"})
	if r.held("broadcast values") == 0 {
		t.Error("the decoded value is not accounted for")
	}
	check(t, b.Unpersist(), r.held("broadcast values"), 0)
	got, err = look() // still readable
	check(t, err, got, []string{"zero", "one", "two"})

	check(t, b.Destroy(), r.held("broadcast"), 0)
	for name, f := range map[string]func() error{
		"Value":     func() error { _, err := b.Value(); return err },
		"Unpersist": b.Unpersist,
		"Destroy":   b.Destroy,
	} {
		if err := f(); !errors.Is(err, engine.ErrDestroyed) {
			t.Errorf("%s after Destroy: %v", name, err)
		}
	}
	_, err = look()
	wantError(t, err, "destroyed")
}

// A broadcast larger than memory allows at once goes to disk and comes back.
func TestBroadcastUnderPressure(t *testing.T) {
	r := start(t, engine.Config{Memory: 64 << 20})
	text := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	b, err := engine.NewBroadcast(r.Session, text)
	if err != nil {
		t.Fatal(err)
	}
	var computed atomic.Int64
	d := rows(r.Session, 0, 40<<10, 8, &computed).Cache() // 40 MiB of 32 MiB
	sumRows(t, d)
	n, err := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		v, err := b.Value()
		if err != nil {
			return nil, err
		}
		if v != text {
			return nil, errors.New("the value is another one")
		}
		return append(dst, src...), nil
	}).Count(t.Context())
	check(t, err, n, 4)
	check(t, b.Destroy(), r.held("broadcast"), 0)
}

// A session that is closed while a value is encoded takes it no more, and says
// why; one that is closed while a value is stored waits for that.
func TestBroadcastWhileTheSessionCloses(t *testing.T) {
	r := start(t, engine.Config{})
	closes := func(int, int) { r.finish() }
	weighing.Store(&closes)
	defer weighing.Store(nil)
	if _, err := engine.NewBroadcast(r.Session, weighed{100}); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("closed in between: %v", err)
	}
	weighing.Store(nil)
	for range 20 {
		r := start(t, engine.Config{Cores: 1})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for {
					if _, err := engine.NewBroadcast(r.Session, weighed{1 << 16}); err != nil {
						if !errors.Is(err, engine.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		r.finish()
		wg.Wait()
	}
}

// Who has closed its session is told so.
func TestBCT_003_ClosedSession(t *testing.T) {
	r := start(t, engine.Config{})
	r.finish()
	if b, err := engine.NewBroadcast(r.Session, 1); !errors.Is(err, engine.ErrClosed) || b != nil {
		t.Errorf("got %v, %v", b, err)
	}
}

// A handle of data is not data: it has no binary form.
func TestBCT_003_DatasetAsValue(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Range(r.Session, 10, 2)
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "NewBroadcast") || !strings.Contains(p, "Dataset") {
			t.Errorf("panic %q, which does not name the call and the type", p)
		}
	}()
	_, err := engine.NewBroadcast(r.Session, d)
	t.Errorf("a dataset was broadcast: %v", err)
}

// Values of every size come back as they were, compressed or not.
//
// NOT APPLICABLE: BCT-002 as to blocks of a fixed size, because a broadcast
// does not travel: it is one block of the store that all tasks decode from.
func TestBCT_002_RandomPayloads(t *testing.T) {
	for _, compress := range []string{"true", "false"} {
		r := start(t, engine.Config{Conf: conf("broadcast.compress", compress, "io.compression.codec", "lz4")})
		rng := rand.New(rand.NewPCG(4, 2))
		var payloads, values [][]byte
		for range 100 {
			payload := make([]byte, rng.IntN(10<<10))
			for i := range payload {
				payload[i] = byte(rng.IntN(1 + rng.IntN(256)))
			}
			b, err := engine.NewBroadcast(r.Session, payload)
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.Value()
			if err != nil {
				t.Fatal(err)
			}
			payloads, values = append(payloads, payload), append(values, got)
			check(t, b.Destroy(), 0, 0)
		}
		for i, want := range payloads { // they outlive the blocks they came from
			if !bytes.Equal(values[i], want) {
				t.Fatalf("compressed %s: %d bytes came back as %d others", compress, len(want), len(values[i]))
			}
		}
	}
}

// A value is decoded when a task first uses it, once for all executors, and
// after Unpersist only its block is left, with the driver.
//
// NOT APPLICABLE: BCT-004 as to a copy on each executor, because executors
// share a process: a decoded value is everybody's.
func TestBCT_004_DecodedAtItsFirstUse(t *testing.T) {
	r := several(t, 2, "locality.wait", "0s")
	text := strings.Repeat("x", 100_000)
	b, err := engine.NewBroadcast(r.Session, text)
	if err != nil {
		t.Fatal(err)
	}
	where := block.Broadcast(b.ID())
	var mu sync.Mutex
	// use runs a task on each executor, at the same time, and returns the
	// places at which they found the value.
	use := func(read bool) map[*byte]int {
		places := map[*byte]int{}
		var both sync.WaitGroup
		both.Add(2)
		n, err := engine.MapBatches(engine.Range(r.Session, 2, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			both.Done()
			both.Wait()
			if read {
				v, err := b.Value()
				if err != nil || v != text {
					return nil, fmt.Errorf("%d bytes, %w", len(v), err)
				}
				mu.Lock()
				places[unsafe.StringData(v)]++
				mu.Unlock()
			}
			return append(dst, src...), nil
		}).Count(t.Context())
		check(t, err, n, 2)
		return places
	}
	is := func(what string, decoded bool) {
		t.Helper()
		if n := r.held("broadcast values"); (n >= 100_000) != decoded || n > 150_000 || !decoded && n != 0 {
			t.Errorf("%s: decoded values take %d bytes", what, n)
		}
		if !engine.HasBlock(r.Session, where) {
			t.Errorf("%s: the driver's block is gone", what)
		}
		if on := engine.Holders(r.Session, where); len(on) != 0 {
			t.Errorf("%s: executors %v have a block of it", what, on)
		}
	}
	use(false)
	is("never read", false)
	if places := use(true); len(places) != 1 {
		t.Errorf("the executors found the value at %d places", len(places))
	}
	is("read", true)
	check(t, b.Unpersist(), 0, 0)
	is("unpersisted", false)
	use(true)
	is("read again", true)
	check(t, b.Destroy(), r.held("broadcast values"), 0)
	if engine.HasBlock(r.Session, where) {
		t.Error("the block of a destroyed value is there")
	}
}

// What is let go leaves no block, no map output and no file: datasets with
// their scope or by Unpersist, values by Destroy, and task binaries, which
// are broadcasts too, with their stages.
//
// NOT APPLICABLE: CLN-004 as to what the garbage collector finds dropped,
// because a program says when it lets go: Unpersist, Destroy and Release.
func TestCLN_004_DroppedDatasetsAndBroadcasts(t *testing.T) {
	r := start(t, engine.Config{Executors: 2, Cores: 2, Conf: conf("shuffle.storage", "disk")})
	var values []*engine.Broadcast[string]
	for range 4 {
		b, err := engine.NewBroadcast(r.Session, strings.Repeat("y", 10_000))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, b)
	}
	scope := r.Scope()
	levels := []block.Level{block.MemoryOnly, block.MemoryAndDisk, block.DiskOnly}
	var sets []*engine.Dataset[engine.Pair[int64, int64]]
	for i := range 100 {
		b := values[i%4]
		d := engine.Map(keyed(scope, 20, 5, 2), func(p engine.Pair[int64, int64]) engine.Pair[int64, int64] {
			if v, err := b.Value(); err != nil || len(v) != 10_000 {
				panic(fmt.Sprint(len(v), err))
			}
			return p
		})
		if i%10 == 0 {
			d = engine.ReduceByKey(d, add, engine.Partitions(2))
		}
		d.Persist(levels[i%3])
		if _, err := d.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, d)
	}
	blocks := func(want int) {
		t.Helper()
		n := 0
		for _, d := range sets {
			for p := range d.Partitions() {
				if engine.HasBlock(r.Session, block.Node(d.Node().ID, p)) {
					n++
				}
			}
		}
		if n != want {
			t.Fatalf("%d blocks of %d datasets are there, want %d", n, len(sets), want)
		}
	}
	blocks(200)
	if len(shuffleFiles(r)) == 0 || r.held("broadcast values") == 0 {
		t.Fatal("there is nothing to let go")
	}
	for _, d := range sets[:50] {
		d.Unpersist()
	}
	blocks(100)
	scope.Release()
	blocks(0)
	for _, b := range values {
		check(t, b.Destroy(), engine.HasBlock(r.Session, block.Broadcast(b.ID())), false)
	}
	if err := engine.Idle(r.Session); err != nil {
		t.Error(err)
	}
	check(t, nil, r.held("cached"), 0)
	check(t, nil, r.held("broadcast"), 0)
	for _, part := range []string{"rdd_", "broadcast_", "shuffle_"} {
		if files := r.files(part); len(files) != 0 {
			t.Errorf("files are left: %v", files)
		}
	}
}
