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

	"github.com/execbench/execbench/engine"
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

// NOT APPLICABLE: BCT-004 as to a copy on each executor, because executors share
// what was decoded, as they share their process.
func TestBCT_004_NeverReadNeverDecoded(t *testing.T) {
	r := start(t, engine.Config{})
	b, err := engine.NewBroadcast(r.Session, strings.Repeat("x", 100_000))
	if err != nil {
		t.Fatal(err)
	}
	n, err := engine.Map(engine.Range(r.Session, 3, 3), func(v int64) int64 {
		if v > 100 {
			b.Value()
		}
		return v
	}).Count(t.Context())
	check(t, err, n, 3)
	check(t, nil, r.held("broadcast values"), 0)
}

// Task binaries are broadcasts: they go with their stages (CLN-004).
//
// NOT APPLICABLE: CLN-004 as to what nobody refers to any more, because nothing
// here follows the collector: datasets go with their scope or persistence
// (TestScopeReleasesWhatItBuilt), broadcasts when they are destroyed.
func TestCLN_004_TaskBinariesGo(t *testing.T) {
	r := start(t, engine.Config{})
	for range 20 {
		n, err := engine.Repartition(engine.Range(r.Session, 100, 3), 2).Count(t.Context())
		check(t, err, n, 100)
	}
	if err := engine.Idle(r.Session); err != nil {
		t.Error(err)
	}
	check(t, nil, r.held("broadcasts"), 0)
}
