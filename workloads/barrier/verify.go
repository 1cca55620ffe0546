package barrier

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// verify makes the messages of every round again and looks, for every task,
// at what it gathered and at when it came and left.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	rec, ok := a.Detail.(*record)
	if !ok {
		return nil, fmt.Errorf("cannot verify barrier: the answer does not say what the tasks gathered")
	}
	want, err := expected(ctx, g, v, len(rec.heard))
	if err != nil {
		return nil, fmt.Errorf("cannot verify barrier: %w", err)
	}
	told, gathered := fault{}, fault{}
	for part, rounds := range rec.heard {
		if len(rounds) != len(want) {
			told.add("task %d told of %d rounds", part, len(rounds))
		}
		for i := range min(len(rounds), len(want)) {
			if rounds[i] != want[i] {
				gathered.add("task %d in round %d, %d messages", part, i, rounds[i].messages)
			}
		}
	}
	verdict := &workloads.Verdict{}
	verdict.Expect("rounds", v.Text("rounds"), strconv.FormatInt(a.Records, 10))
	verdict.Expect("tasks that told of fewer rounds", "0", told.String())
	verdict.Expect("gathered messages that are wrong", "0", gathered.String())
	verdict.Expect("barriers left before the last task came", "0", rec.barrier.early().String())
	verdict.Expect("all-gathers left before the last task came", "0", rec.gather.early().String())
	a.Checksum = checksum(rec)
	return verdict, nil
}

// early counts the syncs that a task left too soon.
func (s syncs) early() *fault {
	f := &fault{}
	for i, m := range s {
		if m.firstLeft < m.lastCame {
			f.add("round %d by %d ns", i, m.lastCame-m.firstLeft)
		}
	}
	return f
}

// checksum is that of the first task's messages, as the first task gathered
// them: the others' are the same, or the answer is wrong.
func checksum(rec *record) string {
	h := xxh3.New()
	if len(rec.heard) > 0 {
		for _, r := range rec.heard[0] {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], r.first)
			_, _ = h.Write(b[:]) // a hasher never fails
		}
	}
	return fmt.Sprintf("%d rounds, %016x", rec.rounds, h.Sum64())
}

// expected returns what every task should gather, by round.
func expected(ctx context.Context, g workloads.Gen, v workloads.Values, tasks int) ([]heard, error) {
	rounds, size, seed := v.Int("rounds"), int(v.Bytes("message-size")), uint64(v.Int("seed"))
	want := make([]heard, rounds)
	workers := g.Workers(int64(2*size) + 64<<10)
	hashers := make([]*xxh3.Hasher, workers)
	for i := range hashers {
		hashers[i] = xxh3.New()
	}
	meter := g.Meter(rounds * int64(tasks*size))
	err := workloads.Each(ctx, workers, rounds, func(worker int, i int64) error {
		h := hashers[worker]
		h.Reset()
		for part := range tasks {
			m := message(seed, i, part, size)
			if part == 0 {
				want[i].first = xxh3.HashString(m)
			}
			hashMessage(h, m)
		}
		want[i].messages, want[i].hash = int64(tasks), h.Sum64()
		meter.Add(int64(tasks * size))
		return nil
	})
	return want, err
}

// fault counts one kind of mistake and describes the first.
type fault struct {
	n     int
	first string
}

func (f *fault) add(format string, args ...any) {
	if f.n++; f.n == 1 {
		f.first = fmt.Sprintf(format, args...)
	}
}

func (f *fault) String() string {
	if f.n == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, first %s", f.n, f.first)
}
