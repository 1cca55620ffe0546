package source

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// A file cut in two at every offset yields each line and each word once.
func TestCutAtEveryOffset(t *testing.T) {
	content := randomText(newRand(1), 2500)
	path := write(t, t.TempDir(), "a.txt", content)
	wantLines, wantWords := naiveLines(string(content)), strings.Fields(string(content))
	r, delims := small(t), DelimitersOf(space)
	for at := int64(1); at < int64(len(content)); at++ {
		splits := []Split{
			{0, []Piece{{path, 0, at, 2500, Plain}}},
			{1, []Piece{{path, at, 2500 - at, 2500, Plain}}},
		}
		if got := readLines(t, r, splits); !slices.Equal(got, wantLines) {
			t.Fatalf("cut at %d: %d lines, want %d:\n%q\n%q", at, len(got), len(wantLines), got, wantLines)
		}
		chunks := readChunks(t, r, splits, delims)
		if strings.Join(chunks, "") != string(content) {
			t.Fatalf("cut at %d: chunks do not join to the file", at)
		}
		var words []string
		for _, c := range chunks {
			words = append(words, strings.Fields(c)...)
		}
		if !slices.Equal(words, wantWords) {
			t.Fatalf("cut at %d: %d words, want %d", at, len(words), len(wantWords))
		}
	}
}

// Folders of files of all sizes and formats, in any number of parts, through
// any buffer, yield the lines of the files in order.
func TestLinesOfManyFiles(t *testing.T) {
	for seed := range uint64(30) {
		rng := newRand(seed)
		dir := t.TempDir()
		var want []string
		bytesOnDisk := int64(0)
		for i := range 1 + rng.IntN(9) {
			name := fmt.Sprintf("d%d/f%02d%s", i/3, i, []string{"", ".txt", ".gz", ".zst"}[rng.IntN(4)])
			content := randomText(rng, []int{0, 1, 30, 3000, 40000}[rng.IntN(5)])
			path := write(t, dir, name, content)
			want = append(want, naiveLines(string(content))...)
			if info, _ := os.Stat(path); len(content) > 0 {
				bytesOnDisk += info.Size()
			}
		}
		parts := 1 + rng.IntN(20)
		splits := cut(t, list(t, dir), CutOptions{Parts: parts})
		if len(splits) != parts {
			t.Fatalf("seed %d: %d splits, want %d", seed, len(splits), parts)
		}
		r := small(t)
		if got := readLines(t, r, splits); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d lines in %d parts, want %d", seed, len(got), parts, len(want))
		}
		if got := r.Metrics[task.InputRecordsRead]; got != int64(len(want)) {
			t.Errorf("seed %d: %d records counted, want %d", seed, got, len(want))
		}
		if got := r.Metrics[task.InputBytesRead]; got < bytesOnDisk {
			t.Errorf("seed %d: %d bytes counted, fewer than the %d on disk", seed, got, bytesOnDisk)
		}
	}
}

// The bytes counted of plain files are the files', whatever the cuts.
func TestBytesCountedOnce(t *testing.T) {
	path := write(t, t.TempDir(), "a", randomText(newRand(3), 50_000))
	for _, parts := range []int{1, 2, 7, 64} {
		r := small(t)
		readLines(t, r, cut(t, list(t, path), CutOptions{Parts: parts}))
		if got := r.Metrics[task.InputBytesRead]; got != 50_000 {
			t.Errorf("%d parts: %d bytes counted, want 50000", parts, got)
		}
	}
}

func TestLineEnds(t *testing.T) {
	for content, want := range map[string][]string{
		"":               nil,
		"a":              {"a"},
		"a\n":            {"a"},
		"a\n\nb":         {"a", "", "b"},
		"\n":             {""},
		"a\r\nb\r\n":     {"a", "b"},
		"a\rb\n\r\n\r":   {"a\rb", "", ""},
		"\xff\x00\n\xfe": {"\xff\x00", "\xfe"},
	} {
		path := write(t, t.TempDir(), "a", []byte(content))
		if got := readLines(t, small(t), cut(t, list(t, path), CutOptions{})); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}

func TestLongItems(t *testing.T) {
	content := []byte(strings.Repeat("x", 5000) + "\n" + strings.Repeat("y", 700) + "\n")
	for _, name := range []string{"a", "a.gz"} {
		path := write(t, t.TempDir(), name, content)
		splits := cut(t, list(t, path), CutOptions{Parts: 3})
		if got := readLines(t, small(t), splits); len(got) != 2 || len(got[0]) != 5000 || len(got[1]) != 700 {
			t.Errorf("%s: %d lines", name, len(got))
		}
		r := small(t)
		r.ItemMax = 4096
		var err error
		for i := range splits {
			err = errors.Join(err, r.Lines(&splits[i], func([]string) error { return nil }))
		}
		if !errors.Is(err, ErrTooLong) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "4.00 KiB") {
			t.Errorf("%s: %v, want ErrTooLong that names file and limit", name, err)
		}
		// A refusal to grow is an error of its own.
		bufs := &poisoned{max: 2048}
		r = &Reader{Buffers: bufs, Block: 1}
		err = nil
		for i := range splits {
			err = errors.Join(err, r.Lines(&splits[i], func([]string) error { return nil }))
		}
		if err == nil || !strings.Contains(err.Error(), "no memory") || bufs.out != 0 {
			t.Errorf("%s: %v with %d buffers out, want a refusal and none", name, err, bufs.out)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	content := bytes.Repeat([]byte("some text that compresses\n"), 4000)
	for _, name := range []string{"a.gz", "a.zst"} {
		dir := t.TempDir()
		path := write(t, dir, name, content)
		whole, _ := os.ReadFile(path)
		damaged := map[string][]byte{
			"cut":     whole[:len(whole)/2],
			"flipped": append(append(slices.Clone(whole[:len(whole)/2]), whole[len(whole)/2]^0x55), whole[len(whole)/2+1:]...),
			"other":   []byte("this is not compressed at all"),
		}
		for what, b := range damaged {
			if err := os.WriteFile(path, b, 0o666); err != nil {
				t.Fatal(err)
			}
			splits := cut(t, list(t, path), CutOptions{})
			err := small(t).Lines(&splits[0], func([]string) error { return nil })
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s %s: %v, want ErrCorrupt that names the file", what, name, err)
			}
		}
	}
	// A plain file that shrinks after it was listed.
	path := write(t, t.TempDir(), "a", content)
	splits := cut(t, list(t, path), CutOptions{})
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	if err := small(t).Lines(&splits[0], func([]string) error { return nil }); !errors.Is(err, ErrTruncated) {
		t.Errorf("shrunk file: %v, want ErrTruncated", err)
	}
}

func TestReadingStops(t *testing.T) {
	stop := errors.New("stop")
	path := write(t, t.TempDir(), "a", randomText(newRand(4), 20_000))
	splits := cut(t, list(t, path), CutOptions{})
	if err := small(t).Lines(&splits[0], func([]string) error { return stop }); err != stop {
		t.Errorf("emit's error: %v", err)
	}
	r, asked := small(t), 0
	r.Check = func() error {
		if asked++; asked == 3 {
			return stop
		}
		return nil
	}
	if err := r.Lines(&splits[0], func([]string) error { return nil }); err != stop || asked != 3 {
		t.Errorf("killed after %d checks: %v", asked, err)
	}
}

// Every file operation of a reading can fail: the error names the file and
// wraps the cause, and nothing stays open.
func TestReadFaults(t *testing.T) {
	for _, name := range []string{"a", "a.gz", "a.zst"} {
		path := write(t, t.TempDir(), name, randomText(newRand(5), 9000))
		splits := cut(t, list(t, path), CutOptions{Parts: 2})
		run := func(f *fsys.Faulty) (err error) {
			r := small(t)
			r.FS = f
			for i := range splits {
				err = errors.Join(err, r.Lines(&splits[i], func([]string) error { return nil }))
			}
			if open := f.StillOpen(); len(open) > 0 {
				t.Errorf("%s: still open: %v", name, open)
			}
			return err
		}
		ops := fsys.OpOpen | fsys.OpRead
		count := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: ops})
		if err := run(count); err != nil || count.Counted() < 2 {
			t.Fatalf("%s: %v after %d operations", name, err, count.Counted())
		}
		for k := 1; k <= count.Counted(); k++ {
			err := run(fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: ops, K: k, Short: 5}))
			if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, k=%d: %v, want EIO that names the file", name, k, err)
			}
		}
	}
}

func TestBeginTellsEachPiece(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", []byte("1\n2\n"))
	write(t, dir, "b", []byte("3\n"))
	r := small(t)
	var seen []string
	r.Begin = func(p *Piece) { seen = append(seen, fmt.Sprintf("%s+%d", filepath.Base(p.Path), p.Offset)) }
	splits := cut(t, list(t, dir), CutOptions{Parts: 3})
	readLines(t, r, splits)
	if want := []string{"a+0", "a+2", "b+0"}; !slices.Equal(seen, want) {
		t.Errorf("pieces %v, want %v", seen, want)
	}
}

// Reading is charged to the input part and what emit does is not.
func TestReadingIsTimed(t *testing.T) {
	path := write(t, t.TempDir(), "a", randomText(newRand(6), 5000))
	splits := cut(t, list(t, path), CutOptions{})
	var now int64
	var timer task.Timer
	timer.Start(func() int64 { now++; return now }, 0)
	r := small(t)
	r.Timer = &timer
	err := r.Lines(&splits[0], func([]string) error { now += 1000; return nil })
	if err != nil {
		t.Fatal(err)
	}
	timer.Stop(now, r.Metrics)
	read, compute := r.Metrics[task.InputReadTime], r.Metrics[task.ComputeTime]
	if read == 0 || read >= 1000 || compute < 1000 || read+compute != now {
		t.Errorf("read %d, compute %d of %d", read, compute, now)
	}
}

func FuzzSplits(f *testing.F) {
	f.Add([]byte("a b\n\nccc\r\nd"), uint16(3), byte(2))
	f.Add([]byte("\n\n\n"), uint16(1), byte(200))
	f.Fuzz(func(t *testing.T, content []byte, at uint16, parts byte) {
		path := write(t, t.TempDir(), "a", content)
		splits := cut(t, list(t, path), CutOptions{Parts: int(parts)})
		if n := int64(len(content)); int64(at) < n && at > 0 {
			splits = []Split{{0, []Piece{{path, 0, int64(at), n, Plain}, {path, int64(at), n - int64(at), n, Plain}}}}
		}
		r := small(t)
		if got, want := readLines(t, r, splits), naiveLines(string(content)); !slices.Equal(got, want) {
			t.Fatalf("lines %q, want %q", got, want)
		}
		if got := strings.Join(readChunks(t, r, splits, DelimitersOf(space)), ""); got != string(content) {
			t.Fatalf("chunks join to %q, want %q", got, content)
		}
	})
}
