package results

import (
	"context"
	"fmt"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// verify makes every result again, without the engine, and compares lengths
// and hashes with what the caller of the job got.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	came, ok := a.Detail.([]arrival)
	if !ok {
		return nil, fmt.Errorf("cannot verify results: the answer does not say what came")
	}
	tasks, size := v.Int("tasks"), int64(v.Bytes("result-size"))
	want, err := expected(ctx, g, uint64(v.Int("seed")), tasks, size)
	if err != nil {
		return nil, fmt.Errorf("cannot verify results: %w", err)
	}
	bad := faults{}
	all := xxh3.New()
	for i := range want {
		got := arrival{}
		if i < len(came) {
			got = came[i]
		}
		switch {
		case got.times != 1:
			bad.add("arrived", i, "%d times", got.times)
		case got.bytes != size:
			bad.add("length", i, "%d bytes", got.bytes)
		case got.hash != want[i]:
			bad.add("bytes", i, "hash %016x, want %016x", got.hash, want[i])
		}
		fmt.Fprintf(all, "%d %d %016x\n", i, got.bytes, got.hash)
	}
	verdict := &workloads.Verdict{}
	verdict.Expect("results", strconv.FormatInt(tasks, 10), strconv.FormatInt(a.Records, 10))
	verdict.Expect("bytes of all results", strconv.FormatInt(tasks*size, 10), strconv.FormatInt(a.Bytes, 10))
	verdict.Expect("results that did not arrive once", "0", bad.of("arrived"))
	verdict.Expect("results of another length", "0", bad.of("length"))
	verdict.Expect("results with other bytes", "0", bad.of("bytes"))
	a.Checksum = fmt.Sprintf("%016x", all.Sum64())
	return verdict, nil
}

// faults counts what is wrong with results, by kind, and describes the first
// of each.
type faults map[string]*fault

type fault struct {
	n     int
	first string
}

func (f faults) add(kind string, task int, format string, args ...any) {
	if f[kind] == nil {
		f[kind] = &fault{first: fmt.Sprintf("task %d: ", task) + fmt.Sprintf(format, args...)}
	}
	f[kind].n++
}

func (f faults) of(kind string) string {
	if f[kind] == nil {
		return "0"
	}
	return fmt.Sprintf("%d, the first %s", f[kind].n, f[kind].first)
}

// expected returns the hash of every result. It holds one buffer for each
// goroutine.
func expected(ctx context.Context, g workloads.Gen, seed uint64, tasks, size int64) ([]uint64, error) {
	const block = 64 << 10 // whole words
	hashes := make([]uint64, tasks)
	workers := g.Workers(block)
	type state struct {
		h   *xxh3.Hasher
		buf []byte
	}
	states := make([]state, workers)
	for i := range states {
		states[i] = state{xxh3.New(), make([]byte, block)}
	}
	meter := g.Meter(tasks * size)
	err := workloads.Each(ctx, workers, tasks, func(worker int, i int64) error {
		s := &states[worker]
		s.h.Reset()
		start := startOf(seed, int(i))
		for from := int64(0); from < size; from += block {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b := s.buf[:min(block, size-from)]
			for k := range b {
				b[k] = byte(wordAt(start, (from+int64(k))/8) >> (8 * (k % 8)))
			}
			_, _ = s.h.Write(b) // never fails
		}
		hashes[i] = s.h.Sum64()
		meter.Add(size)
		return nil
	})
	return hashes, err
}
