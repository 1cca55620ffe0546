package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
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

// BenchmarkWrite writes 64 MiB into a file, 4 KiB at a time through a part
// writer's buffer, and as a program does that has them all: by plain writes of
// 1 MiB. Files are new each time, as those of jobs are.
func BenchmarkWrite(b *testing.B) {
	const size, batch = 64 << 20, 4 << 10
	data := make([]byte, size)
	run := func(name string, write func(dir string, i int) error) {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			b.SetBytes(size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := write(dir, i); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				if err := os.Mkdir(dir, 0o777); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
	buffer := make([]byte, 256<<10)
	run("kind=part", func(dir string, i int) error {
		out, err := CreateOutput(fsys.OS, dir)
		if err != nil {
			return err
		}
		w, err := out.Part(0, id.Task(i), buffer)
		if err != nil {
			return err
		}
		for at := 0; at < size; at += batch {
			if _, err := w.Write(data[at : at+batch]); err != nil {
				return err
			}
		}
		if err := errors.Join(w.Close(), w.Commit()); err != nil {
			return err
		}
		_, err = out.Commit([]id.Task{id.Task(i)})
		return err
	})
	run("kind=plain", func(dir string, _ int) error {
		f, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			return err
		}
		for at := 0; at < size; at += 1 << 20 {
			if _, err := f.Write(data[at : at+1<<20]); err != nil {
				return err
			}
		}
		return f.Close()
	})
}
