// Package results returns results of a given size from every task, to measure
// how results travel.
package results

import (
	"context"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// Workload is the results workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:     "results",
	Summary:  "return a result of a given size from every task",
	Stresses: "the way of results: encoding, the block store, fetching, the driver",
	Doc:      doc,
	Params:   params,
	Build:    build,
	Run:      run,
	Verify:   verify,
}

const doc = `Runs one job of N tasks that read nothing. Each makes a result of the given
size, as records of up to 32 KiB of bytes that follow from the seed and the
number of the task, and returns it. The caller takes every result as it comes,
notes its length and its hash, and lets go of it.

What it stresses: the way of a result from its task to the caller. Its encoded
size, a few dozen bytes more than asked for, decides which of three it takes:

  direct     in the message that reports the task's end: up to
             task.maxDirectResultSize (1 MiB) and rpc.message.maxSize
  stored     put into the block store, fetched from there by one of
             resultGetter.threads threads, and removed: above that
  dropped    not sent at all: above driver.maxResultSize (1 GiB)

Before it fetches or decodes a result, the driver adds its size to what the job
has returned so far. Above driver.maxResultSize the job fails, with both
figures and the key in its error; so does one with a dropped result. 0 lifts
the limit.

The report shows the routes of every stage, with counts and bytes ("Results by
route"), and the time that fetching took ("result fetch").

Figures, where wall is the time of the job:

  results per second   tasks / wall
  bytes per second     tasks x size / wall
  wall per result      wall / tasks

Verified: every task's result arrived once, with the length and the bytes that
it should have; the verifier makes them by itself, at any offset, where a task
makes them one after another.

  execbench run results --result-size 64KiB --tasks 1000             # direct
  execbench run results --result-size 4MiB                           # stored
  execbench run results --conf driver.maxResultSize=2MiB             # dropped
  execbench run results --tasks 5 --conf driver.maxResultSize=16MiB  # too much

The last two jobs fail, as they should: exit code 3.
`

var params = []workloads.Param{
	{Name: "tasks", Kind: workloads.Int, Default: "64", Min: "1", Max: "1000000",
		Doc: "tasks of the job, each with a result"},
	{Name: "result-size", Kind: workloads.Bytes, Default: "4MiB", Min: "0", Max: "1GiB",
		Doc: "bytes of each result"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Min: "0",
		Doc: "decides the bytes"},
}

// recordBytes is the largest record of a result: small enough that making one
// holds next to nothing beside the result itself.
const recordBytes = 32 << 10

func build(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
	seed, size := uint64(v.Int("seed")), int64(v.Bytes("result-size"))
	return engine.FromFunc(s, "results", int(v.Int("tasks")), func(t *engine.Task, part int, emit func([][]byte) error) error {
		held, err := t.Reserve("record", recordBytes)
		if err != nil {
			return err
		}
		defer held.Release()
		buf := make([]byte, min(size, recordBytes))
		words := newStream(seed, part)
		for left := size; left > 0; left -= recordBytes {
			record := buf[:min(left, recordBytes)]
			words.fill(record)
			if err := emit([][]byte{record}); err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// arrival is what the driver's side notes of one result.
type arrival struct {
	times int   // that it came
	bytes int64 // of all its records
	hash  uint64
}

func run(ctx context.Context, _ *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
	tasks := int(v.Int("tasks"))
	a := &workloads.Answer{}
	came := make([]arrival, tasks)
	h := xxh3.New()
	start := time.Now()
	err := built.(*engine.Dataset[[]byte]).CollectEach(ctx, func(part int, records [][]byte) error {
		h.Reset()
		r := &came[part]
		for _, record := range records {
			_, _ = h.Write(record) // never fails
			r.bytes += int64(len(record))
		}
		r.hash = h.Sum64()
		r.times++
		a.Records++
		a.Bytes += r.bytes
		return nil
	})
	if err != nil {
		return nil, err
	}
	wall := time.Since(start).Seconds()
	a.Detail = came
	a.Figures = []workloads.Figure{
		{Name: "results per second", Value: float64(tasks) / wall, Unit: "1/s"},
		{Name: "bytes per second", Value: float64(a.Bytes) / wall, Unit: "B/s"},
		{Name: "wall per result", Value: wall / float64(tasks), Unit: "s"},
	}
	return a, nil
}
