package source

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	const size = 64 << 20
	text := write(b, dir, "text", bytes.Repeat([]byte("a line of text that has just about as many letters as gensort's records do, and a few more to it\n"), size/98))
	records := write(b, dir, "records", make([]byte, size/100*100))
	var rows bytes.Buffer
	rows.WriteString("id,k,v\n")
	for i := 0; rows.Len() < size; i++ {
		fmt.Fprintf(&rows, "%d,%d,%d.5\n", i, i*7%1000003, i%1000)
	}
	table := write(b, dir, "table.csv", rows.Bytes())
	for _, block := range []units.Bytes{128 * units.KiB, 256 * units.KiB, units.MiB} {
		r := Reader{Block: block}
		bench := func(name, path string, read func(s *Split) error) {
			b.Run(fmt.Sprintf("kind=%s/block=%dKiB", name, block>>10), func(b *testing.B) {
				splits := cut(b, list(b, path), CutOptions{})
				b.SetBytes(splits[0].Bytes())
				b.ReportAllocs()
				for b.Loop() {
					if err := read(&splits[0]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		bench("lines", text, func(s *Split) error { return r.Lines(s, func([]string) error { return nil }) })
		bench("chunks", text, func(s *Split) error {
			return r.Chunks(s, DelimitersOf(space), func([][]byte) error { return nil })
		})
		bench("records", records, func(s *Split) error { return r.Records(s, 100, func([]byte, int64) error { return nil }) })
		bench("csv", table, func(s *Split) error {
			var sum float64
			return r.CSV(s, CSVOptions{Columns: []string{"k", "v"}}, func(rows *Rows) error {
				for i := range rows.Len() {
					sum += float64(rows.Int(i, 0)) + rows.Float(i, 1)
				}
				return nil
			})
		})
	}
}
