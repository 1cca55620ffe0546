package join

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

const (
	leftFile    = "a.csv"
	rightFile   = "b.csv"
	valueDigits = 3 // v and w lie from 100 to 227
)

// shape is how many rows and keys there are.
type shape struct{ left, right, keys int64 }

func shapeOf(v workloads.Values) shape {
	s := shape{left: v.Int("rows"), keys: v.Int("keys")}
	s.right = max(1, int64(float64(s.left)/v.Float("ratio")))
	if s.keys == 0 {
		s.keys = s.right
	}
	return s
}

// files describes both tables; zipf may be nil where nothing is drawn. The
// keys of b are those of the ranks 0, 1, 2 … and from 0 again behind the
// last, taken in strides so that they are not in order.
func files(v workloads.Values, zipf *table.Zipf) (left, right *table.File) {
	s := shapeOf(v)
	keys := table.NewKeys(s.keys, "", v.Bool("sparse"))
	file := func(name, column string, rows int64, rank func(i int64, r *table.Random) int64) *table.File {
		n := keys.Width()
		return &table.File{
			Name: name, Header: v.String("key-column") + "," + column, Rows: rows, Width: n + 1 + valueDigits + 1,
			Put: func(dst []byte, i int64, r *table.Random) {
				keys.Put(dst[:n], rank(i, r))
				dst[n] = ','
				table.PutDigits(dst[n+1:][:valueDigits], 100+r.Next()>>57)
				dst[n+1+valueDigits] = '\n'
			},
		}
	}
	left = file(leftFile, v.String("left-column"), s.left, func(_ int64, r *table.Random) int64 { return zipf.Draw(r) })
	order := table.NewStride(s.right)
	right = file(rightFile, v.String("right-column"), s.right, func(i int64, _ *table.Random) int64 { return order.At(i) % s.keys })
	return left, right
}

func dataBytes(v workloads.Values) int64 {
	a, b := files(v, nil)
	return a.Bytes() + b.Bytes()
}

func generate(ctx context.Context, g workloads.Gen, v workloads.Values, dir string) error {
	zipf := table.NewZipf(shapeOf(v).keys, v.Float("skew"))
	a, b := files(v, zipf)
	return table.Write(ctx, g, dir, uint64(v.Int("seed")), zipf.Held(), a, b)
}

// sides returns the paths of both tables.
func sides(in workloads.Input) (left, right string, err error) {
	switch paths := in.Paths; {
	case len(paths) == 2:
		return paths[0], paths[1], nil
	case len(paths) == 1: // a folder as generate makes it
		a, b := filepath.Join(paths[0], leftFile), filepath.Join(paths[0], rightFile)
		if _, err := workloads.InputFiles([]string{a, b}); err != nil {
			return "", "", fmt.Errorf("cannot find the two tables of a join: give --input A.csv,B.csv, or a folder with %s and %s: %w", leftFile, rightFile, err)
		}
		return a, b, nil
	default:
		return "", "", fmt.Errorf("cannot join %d inputs: give --input A.csv,B.csv", len(paths))
	}
}
