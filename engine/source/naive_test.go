package source

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// write makes a file, compressed as its name says, and returns its path.
func write(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	switch FormatOf(name) {
	case Gzip:
		z := gzip.NewWriter(&b)
		z.Write(content)
		z.Close()
	case Zstd:
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(content)
		z.Close()
	default:
		b.Write(content)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func list(t testing.TB, paths ...string) []File {
	t.Helper()
	files, err := List(fsys.OS, paths, ReadHidden)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func cut(t testing.TB, files []File, o CutOptions) []Split {
	t.Helper()
	splits, err := Cut(files, o)
	if err != nil {
		t.Fatal(err)
	}
	return splits
}

// poisoned hands out buffers that are overwritten when they are freed, and
// knows how many are out.
type poisoned struct {
	out int
	max int // refuse more bytes than this; 0: never
}

func (p *poisoned) Alloc(n int) ([]byte, error) {
	if p.max > 0 && n > p.max {
		return nil, fmt.Errorf("no memory for %d bytes", n)
	}
	p.out++
	return bytes.Repeat([]byte{0xdb}, n+7)[:n], nil
}

func (p *poisoned) Free(b []byte) {
	p.out--
	for i := range b {
		b[i] = 0xdb
	}
}

// small returns a reader whose buffer is as small as it may be, so that
// moving, growing and refilling happen all the time.
func small(t testing.TB) *Reader {
	bufs := &poisoned{}
	t.Cleanup(func() {
		if bufs.out != 0 {
			t.Errorf("%d buffers were not freed", bufs.out)
		}
	})
	return &Reader{Buffers: bufs, Block: 1, Metrics: &task.Metrics{}}
}

func readLines(t testing.TB, r *Reader, splits []Split) (lines []string) {
	t.Helper()
	for i := range splits {
		err := r.Lines(&splits[i], func(batch []string) error {
			for _, l := range batch {
				lines = append(lines, strings.Clone(l))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

func readChunks(t testing.TB, r *Reader, splits []Split, d *Delimiters) (chunks []string) {
	t.Helper()
	for i := range splits {
		err := r.Chunks(&splits[i], d, func(batch [][]byte) error {
			for _, c := range batch {
				chunks = append(chunks, string(c))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return chunks
}

// naiveLines is what Lines must yield for a file.
func naiveLines(content string) (lines []string) {
	if content == "" {
		return nil
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(content, "\n"), "\n") {
		lines = append(lines, strings.TrimSuffix(l, "\r"))
	}
	return lines
}

// randomText has n bytes of which many are delimiters, with some long items.
func randomText(rng *rand.Rand, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		switch rng.IntN(12) {
		case 0:
			b = append(b, bytes.Repeat([]byte("long"), rng.IntN(300))...)
		case 1, 2, 3:
			b = append(b, '\n')
		case 4:
			b = append(b, "\r\n"...)
		case 5:
			b = append(b, ' ', '\t')
		default:
			b = append(b, "word"[:1+rng.IntN(4)]...)
		}
	}
	return b[:n]
}

const space = " \t\n\v\f\r"

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }
