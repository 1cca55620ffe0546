package spill

import (
	"bytes"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/units"
)

// A reader that is closed gives its pages back, wherever it stopped: a merge of
// several passes closes readers long before its account.
func TestRunReaderGivesItsPagesBack(t *testing.T) {
	lz4, err := codec.CompressionByName("lz4")
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := AppendFrame(nil, 9, bytes.Repeat([]byte("ab"), 500), lz4, nil)
	whole, _ = AppendFrame(whole, 9, bytes.Repeat([]byte("abc"), 9000), lz4, nil)
	for name, data := range map[string][]byte{"whole": whole, "cut": whole[:len(whole)-8]} {
		for stop := range 4 { // after so many frames
			b := newBench(t, 8*units.MiB)
			b.env.Compression = lz4
			file, err := b.disk.TempFile("run")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.Write(data); err != nil {
				t.Fatal(err)
			}
			c := b.env.Memory.Consumer("run", nil)
			defer c.Close()
			env := b.env.complete()
			r, err := openRun(&env, c, &Run{file: file}, len(data))
			if err != nil {
				t.Fatal(err)
			}
			for range stop {
				_, _, _ = r.next() // at last it fails
			}
			if stop > 0 && r.raw == nil {
				t.Error("no frame was compressed: the test proves less than it should")
			}
			if r.close(); c.Used() != 0 {
				t.Errorf("%s: %d bytes are held after %d frames", name, c.Used(), stop)
			}
		}
	}
}
