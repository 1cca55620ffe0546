// Package barrier lets all tasks of a job wait for each other again and
// again, to measure what a global sync takes.
package barrier

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// Workload is the barrier workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:     "barrier",
	Summary:  "let all tasks wait for each other and exchange messages, round after round",
	Stresses: "global syncs of barrier stages: the way to the driver and back, and waking up",
	Doc:      doc,
	Params:   params,
	Build:    build,
	Run:      run,
	Verify:   verify,
}

const doc = `Runs one job of a single barrier stage with one task for each core: all of them
run at once, or none. In every round each task calls Barrier, which returns
when all tasks have called it, and then AllGather, which also returns what each
of them passed: a message of the given size that follows from the seed, the
round and the task.

What it stresses: global syncs. Each is a question to the driver that is
answered when the last task has asked it; all but the last wait, asleep. With
one core no task waits, and what is left is the question.

A sync begins when the last task comes and ends when the last task is on its
way again: that is its latency.

Figures:

  barrier, median, p99, max      latency of Barrier over the rounds; the p99 is
                                 the value at index 0.99 x rounds, in order
  all-gather, median, p99, max   latency of AllGather
  wall per round                 wall time of the job / rounds

Verified, for every round and every task: the messages that it gathered are
those of all tasks, in order; and no task left a sync before the last one had
come, by the clock that all tasks share. The checksum is that of the first
task's messages as the tasks gathered them, since the number of tasks is that
of cores.

  execbench run barrier
  execbench run barrier --rounds 10000 --cores 2
  execbench run barrier --rounds 200 --message-size 64KiB   # what messages cost
`

var params = []workloads.Param{
	{Name: "rounds", Kind: workloads.Int, Default: "1000", Min: "1", Max: "100000",
		Doc: "rounds of Barrier and AllGather"},
	{Name: "message-size", Kind: workloads.Bytes, Default: "64B", Min: "0", Max: "1MiB",
		Doc: "bytes of the message that each task passes to AllGather"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Min: "0",
		Doc: "decides the messages"},
}

// round is what one task tells of one round. Moments are nanoseconds since
// epoch.
type round struct {
	BarrierFrom, BarrierTo int64
	GatherFrom, GatherTo   int64
	Messages               int64  // that it gathered
	Hash                   uint64 // of all of them, in order
	First                  uint64 // hash of the first task's
}

// epoch is the beginning of the clock that the tasks of a process share.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }

// batchRounds is how many rounds a task hands on at once.
const batchRounds = 512

func build(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
	rounds, size, seed := v.Int("rounds"), int(v.Bytes("message-size")), uint64(v.Int("seed"))
	return engine.Barrier(engine.FromFunc(s, "rounds", s.Cores(), func(t *engine.Task, part int, emit func([]round) error) error {
		h := xxh3.New()
		batch := make([]round, 0, min(rounds, batchRounds))
		for i := range rounds {
			r, err := sync(t, message(seed, i, part, size), h)
			if err != nil {
				return err
			}
			batch = append(batch, r)
			if len(batch) == cap(batch) || i == rounds-1 {
				if err := emit(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		return nil
	})), nil
}

// sync is one task's part of one round.
func sync(t *engine.Task, text string, h *xxh3.Hasher) (r round, err error) {
	r.BarrierFrom = now()
	if err := t.Barrier(); err != nil {
		return r, err
	}
	r.BarrierTo = now()
	r.GatherFrom = r.BarrierTo
	gathered, err := t.AllGather(text)
	if err != nil {
		return r, err
	}
	r.GatherTo = now()
	r.Messages = int64(len(gathered))
	h.Reset()
	for i, m := range gathered {
		if i == 0 {
			r.First = xxh3.HashString(m)
		}
		hashMessage(h, m)
	}
	r.Hash = h.Sum64()
	return r, nil
}

// hashMessage adds a message and where it ends to a hash of several.
func hashMessage(h *xxh3.Hasher, m string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(m)))
	_, _ = h.Write(n[:]) // a hasher never fails
	_, _ = h.WriteString(m)
}

// message is what a task passes in a round: as many hexadecimal digits as
// asked for.
func message(seed uint64, round int64, part, size int) string {
	b := make([]byte, 0, size+16)
	for state := mix(mix(mix(seed)+uint64(round)) + uint64(part)); len(b) < size; state = mix(state) {
		b = strconv.AppendUint(b, state|1<<63, 16) // 16 digits, always
	}
	return string(b[:size])
}

// mix spreads the bits of z over all of them (the step and the finaliser of
// SplitMix64; Steele, Lea, Flood, 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func run(ctx context.Context, _ *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
	d := built.(*engine.Dataset[round])
	rec := newRecord(d.Partitions(), int(v.Int("rounds")))
	start := time.Now()
	if err := d.CollectEach(ctx, rec.add); err != nil {
		return nil, err
	}
	wall := time.Since(start)
	figures := append(rec.barrier.figures("barrier"), rec.gather.figures("all-gather")...)
	return &workloads.Answer{
		Records: v.Int("rounds"),
		Detail:  rec,
		Figures: append(figures, workloads.Figure{Name: "wall per round", Value: wall.Seconds() / float64(v.Int("rounds")), Unit: "s"}),
	}, nil
}
