package workloads

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/zeebo/xxh3"
)

// tree writes files with the given contents below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(dir string, files []File) []string {
	var out []string
	for _, f := range files {
		rel, _ := filepath.Rel(dir, f.Path)
		out = append(out, fmt.Sprintf("%s:%d", rel, f.Bytes))
	}
	return out
}

func TestInputFilesReadsEverything(t *testing.T) {
	dir := tree(t, map[string]string{"b/z": "1", "b/.hidden": "12", "b/_under": "123", "a": "", "b/c/d": "1234"})
	outside := tree(t, map[string]string{"target": "12345"})
	for _, link := range [][2]string{{outside, "b/folder-link"}, {filepath.Join(outside, "target"), "b/file-link"}, {"nowhere", "b/broken"}} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	files, err := InputFiles([]string{dir})
	if want := []string{"a:0", "b/.hidden:2", "b/_under:3", "b/c/d:4", "b/z:1"}; err != nil || !slices.Equal(names(dir, files), want) {
		t.Errorf("got %v (%v), want %v", names(dir, files), err, want)
	}
	if TotalBytes(files) != 10 {
		t.Errorf("%d bytes in all", TotalBytes(files))
	}
	// Named directly, links are followed; the order given is kept.
	files, err = InputFiles([]string{filepath.Join(dir, "b/folder-link"), filepath.Join(dir, "b/file-link"), filepath.Join(dir, "a")})
	if want := []string{"b/folder-link/target:5", "b/file-link:5", "a:0"}; err != nil || !slices.Equal(names(dir, files), want) {
		t.Errorf("links: got %v (%v), want %v", names(dir, files), err, want)
	}
}

func TestInputFilesErrorsNameThePath(t *testing.T) {
	dir := tree(t, map[string]string{"a": "x"})
	missing := filepath.Join(dir, "missing")
	if _, err := InputFiles([]string{dir, missing}); err == nil || !strings.Contains(err.Error(), missing) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	empty := t.TempDir()
	if _, err := InputFiles([]string{empty}); err == nil || !strings.Contains(err.Error(), empty) {
		t.Errorf("empty: %v", err)
	}
	if _, err := InputFiles([]string{os.DevNull}); err == nil || !strings.Contains(err.Error(), os.DevNull) {
		t.Errorf("a device: %v", err)
	}
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		return // root reads everything
	}
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := InputFiles([]string{dir}); err == nil || !strings.Contains(err.Error(), locked) {
		t.Errorf("unreadable: %v", err)
	}
}

func TestOutputFilesInTheOrderOfTheirNumbers(t *testing.T) {
	dir := tree(t, map[string]string{
		"part-00009": "1", "part-00010": "2", "part-2": "3", "part-100000": "4", "part-99999": "5",
		"_SUCCESS": "", ".part-1.crc": "x", "sub/part-0": "x",
	})
	files, err := OutputFiles(dir)
	if want := []string{"part-2:1", "part-00009:1", "part-00010:1", "part-99999:1", "part-100000:1"}; err != nil || !slices.Equal(names(dir, files), want) {
		t.Errorf("got %v (%v), want %v", names(dir, files), err, want)
	}
	if _, err := OutputFiles(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no folder: %v", err)
	}
}

func TestChecksums(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", sumBlock/16+3)
	dir := tree(t, map[string]string{"a": "", "b": "hello", "c": long})
	files, err := InputFiles([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	hash := func(blocks ...string) uint64 {
		h := xxh3.New()
		for _, b := range blocks {
			s := xxh3.HashString(b)
			for range 8 {
				h.Write([]byte{byte(s)})
				s >>= 8
			}
		}
		return h.Sum64()
	}
	want := []uint64{hash(), hash("hello"), hash(long[:sumBlock], long[sumBlock:])}
	for _, g := range []Gen{{}, {Cores: 3, Memory: 1}, {Cores: 3, Memory: 1 << 30}} {
		if got, err := Checksums(t.Context(), g, files); err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: %x (%v), want %x", g, got, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "c"), []byte(long[1:]+"x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Checksums(t.Context(), Gen{}, files); err != nil || got[2] == want[2] {
		t.Errorf("a changed file has the checksum of before: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, "c"), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Checksums(t.Context(), Gen{}, files); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "c")) {
		t.Errorf("a file that became shorter: %v", err)
	}
}

func TestEachCallsAllOnce(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 100} {
		var calls [50]atomic.Int32
		var busy [100]atomic.Int32
		err := Each(t.Context(), workers, int64(len(calls)), func(w int, i int64) error {
			if busy[w].Add(1) != 1 {
				t.Errorf("worker %d works on two items at once", w)
			}
			calls[i].Add(1)
			busy[w].Add(-1)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			if n := calls[i].Load(); n != 1 {
				t.Errorf("%d workers: item %d was done %d times", workers, i, n)
			}
		}
	}
	if err := Each(t.Context(), 3, 0, func(int, int64) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}

func TestEachStops(t *testing.T) {
	stop := errors.New("stop")
	var calls atomic.Int32
	err := Each(t.Context(), 2, 1000, func(_ int, i int64) error {
		calls.Add(1)
		if i == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	calls.Store(0)
	err = Each(ctx, 2, 1000, func(_ int, i int64) error {
		switch n := calls.Add(1); {
		case n == 5:
			cancel(stop)
		case n > 5:
			<-ctx.Done() // it does not run ahead of the fifth
		}
		return nil
	})
	if !errors.Is(err, stop) || calls.Load() == 1000 { // how soon the other worker hears of it is the machine's affair
		t.Errorf("cancelled: %v after %d calls", err, calls.Load())
	}
}

func TestWorkersFitTheBudget(t *testing.T) {
	for _, c := range []struct {
		g    Gen
		need int64
		want int
	}{
		{Gen{}, 1 << 20, 1},
		{Gen{Cores: 4}, 1 << 20, 4},
		{Gen{Cores: 4, Memory: 3 << 20}, 1 << 20, 3},
		{Gen{Cores: 4, Memory: 1}, 1 << 20, 1},
		{Gen{Cores: 4, Memory: 1}, 0, 4},
		{Gen{Cores: 100}, 1 << 20, 64},
	} {
		if got := c.g.Workers(c.need); got != c.want {
			t.Errorf("%+v, %d bytes each: %d workers, want %d", c.g, c.need, got, c.want)
		}
	}
}
