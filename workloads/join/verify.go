package join

import (
	"context"
	"fmt"
	"strconv"

	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// verify counts and sums the rows of every key on both sides, and multiplies:
// n rows of a and m of b with one key are n·m matches, in which the sum of v
// is there m times and that of w n times.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	got, ok := a.Detail.(totals)
	if !ok {
		return nil, fmt.Errorf("cannot verify a join: the answer holds no totals")
	}
	want, err := expect(ctx, g, v, in)
	if err != nil {
		return nil, err
	}
	verdict := &workloads.Verdict{}
	number := func(name string, want, got int64) {
		verdict.Expect(name, strconv.FormatInt(want, 10), strconv.FormatInt(got, 10))
	}
	number("matches", want.Matches, got.Matches)
	number("records returned", want.Matches, a.Records)
	number("sum of "+v.String("left-column"), want.V, got.V)
	number("sum of "+v.String("right-column"), want.W, got.W)
	verdict.Expect("checksum", want.String(), a.Checksum)
	return verdict, nil
}

// sums is what is known of the rows of one key on both sides, and what one
// row adds to it.
type sums struct {
	lefts, v  int64
	rights, w int64
}

// expect computes the totals that the answer must have.
func expect(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input) (want totals, err error) {
	left, right, err := sides(in)
	if err != nil {
		return want, err
	}
	lefts, err := workloads.InputFiles([]string{left})
	if err != nil {
		return want, err
	}
	rights, err := workloads.InputFiles([]string{right})
	if err != nil {
		return want, err
	}
	workers, memory := table.Workers(g)
	bufs := make([][]byte, workers)
	scan := func(files []workloads.File, column string, add func(worker int, key []byte, value int64)) error {
		return table.Scan(ctx, g, workers, files, []string{v.String("key-column"), column}, func(w int, row table.Row) error {
			key, err := row.Int(0)
			if err != nil {
				return err
			}
			value, err := row.Int(1)
			if err != nil {
				return err
			}
			bufs[w] = strconv.AppendInt(bufs[w][:0], key, 10)
			add(w, bufs[w], value)
			return nil
		})
	}
	g.Progress = nil // passes over two tables: nothing that is known beforehand
	tally := &table.Tally[sums]{
		Fold: func(s *sums, row sums) {
			s.lefts += row.lefts
			s.v += row.v
			s.rights += row.rights
			s.w += row.w
		},
		Done: func(_ []byte, s *sums) {
			want = want.add(totals{s.lefts * s.rights, s.v * s.rights, s.w * s.lefts})
		},
		Read: func(add func(worker int, key []byte, row sums)) error {
			err := scan(lefts, v.String("left-column"), func(w int, key []byte, value int64) { add(w, key, sums{lefts: 1, v: value}) })
			if err != nil {
				return err
			}
			return scan(rights, v.String("right-column"), func(w int, key []byte, value int64) { add(w, key, sums{rights: 1, w: value}) })
		},
	}
	return want, tally.Run(ctx, workers, memory)
}
