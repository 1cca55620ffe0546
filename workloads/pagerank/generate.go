package pagerank

import (
	"context"

	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// file describes the links: two numbers with leading zeros a line. Both ends
// are drawn by Zipf's law; sources take another order of the nodes, so that
// those that link much are not those that are linked to. zipf may be nil
// where nothing is drawn.
func file(v workloads.Values, zipf *table.Zipf) *table.File {
	n := v.Int("nodes")
	digits := table.Digits(n)
	order := table.NewStride(n)
	return &table.File{
		Name: "links.csv", Header: "source,destination", Rows: v.Int("edges"), Width: 2 * (digits + 1),
		Put: func(dst []byte, _ int64, r *table.Random) {
			table.PutDigits(dst[:digits], uint64(order.At(zipf.Draw(r))))
			dst[digits] = ','
			table.PutDigits(dst[digits+1:][:digits], uint64(zipf.Draw(r)))
			dst[2*digits+1] = '\n'
		},
	}
}

func dataBytes(v workloads.Values) int64 { return file(v, nil).Bytes() }

func generate(ctx context.Context, g workloads.Gen, v workloads.Values, dir string) error {
	zipf := table.NewZipf(v.Int("nodes"), v.Float("skew"))
	return table.Write(ctx, g, dir, uint64(v.Int("seed")), zipf.Held(), file(v, zipf))
}
