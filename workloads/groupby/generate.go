package groupby

import (
	"context"

	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// A generated row is KEY,VVV,0.FFFFFFFFFF and a newline. v lies from 100 to
// 227, f is a multiple of 1/1024 below 1, which ten decimals write exactly:
// sums of up to 2^43 of them are exact in any order.
const (
	valueDigits   = 3
	measureDigits = 10
	measureStep   = 9765625 // 10^10 / 1024
)

func keysOf(v workloads.Values) table.Keys {
	prefix := ""
	if v.String("key") == "string" {
		prefix = "key-"
	}
	return table.NewKeys(v.Int("keys"), prefix, false)
}

// file describes the table; zipf may be nil where nothing is drawn.
func file(v workloads.Values, zipf *table.Zipf) *table.File {
	keys := keysOf(v)
	n := keys.Width()
	return &table.File{
		Name:   "table.csv",
		Header: v.String("key-column") + "," + v.String("value-column") + "," + v.String("measure-column"),
		Rows:   v.Int("rows"),
		Width:  n + 1 + valueDigits + 1 + 2 + measureDigits + 1,
		Put: func(dst []byte, _ int64, r *table.Random) {
			keys.Put(dst[:n], zipf.Draw(r))
			random := r.Next()
			at := dst[n:]
			at[0] = ','
			table.PutDigits(at[1:1+valueDigits], 100+random>>57)
			at = at[1+valueDigits:]
			at[0], at[1], at[2] = ',', '0', '.'
			table.PutDigits(at[3:3+measureDigits], random&1023*measureStep)
			at[3+measureDigits] = '\n'
		},
	}
}

func dataBytes(v workloads.Values) int64 { return file(v, nil).Bytes() }

func generate(ctx context.Context, g workloads.Gen, v workloads.Values, dir string) error {
	zipf := table.NewZipf(v.Int("keys"), v.Float("skew"))
	return table.Write(ctx, g, dir, uint64(v.Int("seed")), zipf.Held(), file(v, zipf))
}
