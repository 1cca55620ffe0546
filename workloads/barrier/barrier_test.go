package barrier

import (
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

func values(t *testing.T, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// told is what a task tells of rounds that went well: every task comes one
// after another, and all leave 10 ns after the last.
func told(v workloads.Values, tasks, part int) []round {
	seed, size := uint64(v.Int("seed")), int(v.Bytes("message-size"))
	list := make([]round, v.Int("rounds"))
	for i := range list {
		h := xxh3.New()
		for p := range tasks {
			hashMessage(h, message(seed, int64(i), p, size))
		}
		at := int64(1000 * i)
		list[i] = round{
			BarrierFrom: at + int64(part), BarrierTo: at + int64(tasks) + 9, GatherFrom: at + 200 + int64(part), GatherTo: at + 300 + int64(i),
			Messages: int64(tasks), Hash: h.Sum64(), First: xxh3.HashString(message(seed, int64(i), 0, size)),
		}
	}
	return list
}

func recordOf(t *testing.T, v workloads.Values, tasks int, spoil func(part int, told []round) []round) *record {
	t.Helper()
	rec := newRecord(tasks, int(v.Int("rounds")))
	for part := range tasks {
		list := told(v, tasks, part)
		if spoil != nil {
			list = spoil(part, list)
		}
		if err := rec.add(part, list); err != nil {
			t.Fatal(err)
		}
	}
	return rec
}

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	v := values(t, "rounds", "40", "message-size", "20", "seed", "3")
	in := func(task, at int, f func(r *round)) func(int, []round) []round {
		return func(part int, told []round) []round {
			if part == task {
				f(&told[at])
			}
			return told
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(part int, told []round) []round
		want  string // the checks that fail
		says  string
	}{
		{"none", nil, "", ""},
		{"a message lost", in(1, 39, func(r *round) { r.Messages-- }), "gathered messages that are wrong", "1, first task 1 in round 39, 2 messages"},
		{"a message changed", in(2, 0, func(r *round) { r.Hash ^= 1 << 40 }), "gathered messages that are wrong", "first task 2 in round 0"},
		{"another first message", in(0, 7, func(r *round) { r.First++ }), "gathered messages that are wrong", "first task 0 in round 7"},
		{"the messages of another round", in(1, 5, func(r *round) { r.Hash, r.First = told(v, 3, 1)[6].Hash, told(v, 3, 1)[6].First }), "gathered messages that are wrong", "round 5"},
		{"a task that did not wait", in(0, 4, func(r *round) { r.BarrierTo = r.BarrierFrom + 1 }), "barriers left before the last task came", "1, first round 4 by 1 ns"},
		{"a task that did not wait to gather", in(1, 8, func(r *round) { r.GatherTo = r.GatherFrom }), "all-gathers left before the last task came", "first round 8 by 1 ns"},
		{"a task that stopped early", func(part int, told []round) []round {
			if part == 2 {
				return told[:39]
			}
			return told
		}, "tasks that told of fewer rounds", "first task 2 told of 39 rounds"},
	} {
		a := &workloads.Answer{Records: 40, Detail: recordOf(t, v, 3, c.spoil)}
		verdict, err := verify(t.Context(), workloads.Gen{Cores: 2}, v, workloads.Input{}, a)
		if err != nil {
			t.Fatal(err)
		}
		var names, got string
		for _, f := range verdict.Failed() {
			names, got = names+f.Name, got+f.Got
		}
		if names != c.want || verdict.OK != (c.want == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: verifier objects to %q with %q, want %q with %q", c.name, names, got, c.want, c.says)
		}
	}
	a := &workloads.Answer{Records: 39, Detail: recordOf(t, v, 3, nil)}
	if verdict, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, a); err != nil || len(verdict.Failed()) != 1 || verdict.Failed()[0].Name != "rounds" {
		t.Errorf("a round too few: %v %v", verdict, err)
	}
	if _, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, &workloads.Answer{}); err == nil {
		t.Error("an answer without a record was verified")
	}
	if err := newRecord(1, 2).add(0, make([]round, 3)); err == nil {
		t.Error("a task told of more rounds than there are")
	}
}

// The checksum depends on rounds, seed and size, not on how many tasks met.
func TestChecksum(t *testing.T) {
	sum := func(tasks int, pairs ...string) string {
		v := values(t, append([]string{"rounds", "20"}, pairs...)...)
		a := &workloads.Answer{Records: v.Int("rounds"), Detail: recordOf(t, v, tasks, nil)}
		if verdict, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, a); err != nil || !verdict.OK {
			t.Fatalf("%v: %v %v", pairs, err, verdict)
		}
		return a.Checksum
	}
	one := sum(1)
	if many := sum(5); many != one {
		t.Errorf("checksum %s of one task, %s of five", one, many)
	}
	for _, pairs := range [][]string{{"seed", "1"}, {"message-size", "63"}, {"rounds", "21"}} {
		if sum(1, pairs...) == one {
			t.Errorf("%v has the same checksum", pairs)
		}
	}
}

// A sync lasts from the last task's coming to the last one's leaving.
func TestLatency(t *testing.T) {
	v := values(t, "rounds", "200")
	rec := recordOf(t, v, 3, nil)
	for _, c := range []struct {
		of   syncs
		want [3]float64 // ns
	}{
		{rec.barrier, [3]float64{10, 10, 10}},   // all leave at tasks + 9, the last comes at tasks − 1
		{rec.gather, [3]float64{198, 296, 297}}, // of round i: (300 + i) − 202
	} {
		for i, f := range c.of.figures("x") {
			if got := f.Value * 1e9; got < c.want[i]-1e-3 || got > c.want[i]+1e-3 || f.Unit != "s" {
				t.Errorf("%s is %v ns, want %v", f.Name, got, c.want[i])
			}
		}
	}
}

func TestMessages(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(3) {
		for i := range int64(30) {
			for part := range 5 {
				for _, size := range []int{0, 1, 15, 16, 17, 100} {
					m := message(seed, i, part, size)
					if len(m) != size || strings.Trim(m, "0123456789abcdef") != "" {
						t.Fatalf("message of %d bytes: %q", size, m)
					}
					if size == 17 {
						if seen[m] {
							t.Errorf("seed %d, round %d, task %d: message %s is another's", seed, i, part, m)
						}
						seen[m] = true
					}
				}
			}
		}
	}
}
