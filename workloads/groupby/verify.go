package groupby

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// tolerance is how far the weighted sum of the means may be off where the
// order of addition shows, as a part of the sum of their magnitudes.
const tolerance = 1e-9

// verify reads the input with a parser of its own, groups it in tables of
// its own, and compares the digests.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	got, ok := a.Detail.(digest)
	if !ok {
		return nil, fmt.Errorf("cannot verify groups: the answer holds no digest of them")
	}
	want, err := expect(ctx, g, v, in)
	if err != nil {
		return nil, err
	}
	verdict := &workloads.Verdict{}
	number := func(name string, want, got int64) {
		verdict.Expect(name, strconv.FormatInt(want, 10), strconv.FormatInt(got, 10))
	}
	number("groups", want.Groups, got.Groups)
	number("records returned", want.Groups, a.Records)
	number("rows counted in groups", want.Rows, got.Rows)
	number("sum of v over all groups", want.V, got.V)
	verdict.Expect("hash of all groups", fmt.Sprintf("%016x", want.Hash), fmt.Sprintf("%016x", got.Hash))
	verdict.Judge("weighted sum of the means", close(want, got), fmt.Sprintf("%.12g ± %.2g", want.Means, tolerance*want.Scale), fmt.Sprintf("%.12g", got.Means))
	verdict.Expect("checksum", want.String(), a.Checksum)
	return verdict, nil
}

// close reports whether the means agree; where the input holds no numbers
// (NaN, Inf), neither may the answer.
func close(want, got digest) bool {
	if math.IsNaN(want.Means) || math.IsInf(want.Means, 0) {
		return math.IsNaN(got.Means) || math.IsInf(got.Means, 0)
	}
	return math.Abs(want.Means-got.Means) <= tolerance*want.Scale
}

// sums is a group in the making, and what one row adds to it.
type sums struct {
	rows int64
	v    int64
	f    float64
}

// expect computes the digest that the answer must have.
func expect(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input) (want digest, err error) {
	files, err := workloads.InputFiles(in.Paths)
	if err != nil {
		return want, err
	}
	text := v.String("key") == "string"
	workers, memory := table.Workers(g)
	bufs := make([][]byte, workers)
	passes := 0
	tally := &table.Tally[sums]{
		Fold: func(s *sums, row sums) { s.rows += row.rows; s.v += row.v; s.f += row.f },
		Done: func(key []byte, s *sums) {
			h := hashText(string(key))
			if !text {
				n, _ := strconv.ParseInt(string(key), 10, 64) // written by strconv below
				h = hashInt(n)
			}
			want.add(h, group{s.rows, s.v, s.f}, in.Generated)
		},
	}
	tally.Read = func(add func(worker int, key []byte, row sums)) error {
		if passes++; passes > 1 {
			g.Progress = nil
		}
		return table.Scan(ctx, g, workers, files, columns(v), func(w int, row table.Row) error {
			key := row[0]
			if !text {
				n, err := row.Int(0)
				if err != nil {
					return err
				}
				bufs[w] = strconv.AppendInt(bufs[w][:0], n, 10)
				key = bufs[w]
			}
			n, err := row.Int(1)
			if err != nil {
				return err
			}
			f, err := row.Float(2)
			if err != nil {
				return err
			}
			add(w, key, sums{1, n, f})
			return nil
		})
	}
	return want, tally.Run(ctx, workers, memory)
}
