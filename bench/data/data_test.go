package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// counter writes files of numbered lines; it fails, or is cut off, on demand.
type counter struct {
	calls int
	fail  error
	size  int64
}

func (c *counter) workload() *workloads.Workload {
	return &workloads.Workload{
		Name: "counter", Summary: "counts",
		Params: []workloads.Param{
			{Name: "lines", Kind: workloads.Int, Default: "10", Data: true, Doc: "lines a file"},
			{Name: "partitions", Kind: workloads.Int, Default: "2", Doc: "of no matter to the data"},
		},
		DataBytes: func(workloads.Values) int64 { return c.size },
		Generate: func(_ context.Context, _ workloads.Gen, v workloads.Values, dir string) error {
			c.calls++
			for i := range 2 {
				var b bytes.Buffer
				for l := range v.Int("lines") {
					fmt.Fprintf(&b, "%d %d\n", i, l)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part-%d", i)), b.Bytes(), 0o666); err != nil {
					return err
				}
				if c.fail != nil {
					return c.fail
				}
			}
			return nil
		},
	}
}

func none(t *testing.T) func(error) {
	return func(err error) { t.Helper(); t.Errorf("warned: %v", err) }
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func TestCacheMakesOnceAndChecksEveryTime(t *testing.T) {
	c, cache := &counter{}, Cache{filepath.Join(t.TempDir(), "deep", "cache")}
	w := c.workload()
	v := w.Values()
	first, err := cache.Get(t.Context(), w, v, workloads.Gen{Cores: 2}, none(t))
	if err != nil {
		t.Fatal(err)
	}
	if first.Reused || c.calls != 1 || len(first.Files) != 2 || first.Bytes != 80 {
		t.Errorf("first use: %+v after %d calls", first, c.calls)
	}
	again, err := cache.Get(t.Context(), w, v, workloads.Gen{}, none(t))
	if err != nil {
		t.Fatal(err)
	}
	if !again.Reused || c.calls != 1 || again.Checksum != first.Checksum || again.Dir != first.Dir {
		t.Errorf("second use: %+v after %d calls", again, c.calls)
	}
	// A parameter that is no matter to the data shares them, one that is does not.
	other := w.Values()
	if err := other.Set("partitions", "64"); err != nil {
		t.Fatal(err)
	}
	if s, err := cache.Get(t.Context(), w, other, workloads.Gen{}, none(t)); err != nil || !s.Reused {
		t.Errorf("other partitions: %+v, %v", s, err)
	}
	if err := other.Set("lines", "11"); err != nil {
		t.Fatal(err)
	}
	if s, err := cache.Get(t.Context(), w, other, workloads.Gen{}, none(t)); err != nil || s.Reused || s.Checksum == first.Checksum {
		t.Errorf("other lines: %+v, %v", s, err)
	}
	if got := names(t, first.Dir); got != "part-0 part-1" {
		t.Errorf("the folder holds %s, and is read as a whole", got)
	}
}

func TestDamagedDataAreNamedAndMadeAnew(t *testing.T) {
	f := func(what string, harm func(dir string) error, want string) {
		t.Helper()
		c, cache := &counter{}, Cache{t.TempDir()}
		w := c.workload()
		set, err := cache.Get(t.Context(), w, w.Values(), workloads.Gen{}, none(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := harm(set.Dir); err != nil {
			t.Fatal(err)
		}
		_, err = Check(t.Context(), workloads.Gen{}, set.Dir)
		var damaged *Corrupt
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Check says %v, want %q", what, err, want)
		}
		var warned error
		again, err := cache.Get(t.Context(), w, w.Values(), workloads.Gen{}, func(err error) { warned = err })
		if err != nil || again.Reused || c.calls != 2 || again.Checksum != set.Checksum {
			t.Errorf("%s: %+v, %v after %d calls", what, again, err, c.calls)
		}
		if warned == nil || !strings.Contains(warned.Error(), want) {
			t.Errorf("%s: warned %v, want %q", what, warned, want)
		}
	}
	f("a flipped bit", func(dir string) error {
		p := filepath.Join(dir, "part-1")
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b[3] ^= 1
		return os.WriteFile(p, b, 0o666)
	}, "part-1 has checksum")
	f("a short file", func(dir string) error { return os.Truncate(filepath.Join(dir, "part-0"), 3) }, "part-0 has 3 bytes where its manifest says 40 bytes")
	f("a missing file", func(dir string) error { return os.Remove(filepath.Join(dir, "part-0")) }, "part-0 has no such file")
	f("a file too many", func(dir string) error { return os.WriteFile(filepath.Join(dir, "x"), []byte("y"), 0o666) }, "x has 1 bytes where its manifest says no such file")
}

func TestWhatWasCutOffIsMadeAnew(t *testing.T) {
	c, cache := &counter{}, Cache{t.TempDir()}
	w := c.workload()
	set, err := cache.Get(t.Context(), w, w.Values(), workloads.Gen{}, none(t))
	if err != nil {
		t.Fatal(err)
	}
	// The folder got its name, then its maker died.
	if err := os.Remove(ManifestPath(set.Dir)); err != nil {
		t.Fatal(err)
	}
	again, err := cache.Get(t.Context(), w, w.Values(), workloads.Gen{}, none(t))
	if err != nil || again.Reused || c.calls != 2 {
		t.Errorf("%+v, %v after %d calls", again, err, c.calls)
	}
}

func TestFailuresLeaveNothing(t *testing.T) {
	boom := errors.New("boom")
	f := func(what string, c *counter, ctx context.Context, want func(error) bool) {
		t.Helper()
		cache := Cache{t.TempDir()}
		w := c.workload()
		_, err := cache.Get(ctx, w, w.Values(), workloads.Gen{}, none(t))
		if !want(err) {
			t.Errorf("%s: %v", what, err)
		}
		if left := names(t, cache.Dir); left != "" {
			t.Errorf("%s left %s", what, left)
		}
	}
	f("a failing generator", &counter{fail: boom}, t.Context(), func(err error) bool { return errors.Is(err, boom) })
	f("no space", &counter{size: 1 << 60}, t.Context(), func(err error) bool {
		var full *NoSpace
		return errors.As(err, &full) && full.Need == 1<<60 && strings.HasPrefix(err.Error(), "cannot generate 1.00 EiB of data in ")
	})
	stopped, cancel := context.WithCancelCause(t.Context())
	cancel(boom)
	f("a cancelled run", &counter{}, stopped, func(err error) bool { return errors.Is(err, boom) })
}

func TestMakeWhereTheUserWantsIt(t *testing.T) {
	c := &counter{}
	w := c.workload()
	dir := filepath.Join(t.TempDir(), "mine")
	set, err := Make(t.Context(), w, w.Values(), workloads.Gen{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(dir)); got != "mine mine.data.json" {
		t.Errorf("made %s", got)
	}
	if m, err := Check(t.Context(), workloads.Gen{}, dir+"/"); err != nil || m == nil || m.Checksum != set.Checksum {
		t.Errorf("Check: %+v, %v", m, err)
	}
	if _, err := Make(t.Context(), w, w.Values(), workloads.Gen{}, dir); err == nil || !strings.Contains(err.Error(), "it exists already") {
		t.Errorf("over what exists: %v", err)
	}
	w.Generate = nil
	if _, err := Make(t.Context(), w, w.Values(), workloads.Gen{}, dir+"2"); err == nil || !strings.Contains(err.Error(), "it reads no input") {
		t.Errorf("without a generator: %v", err)
	}
	// The user's own data have no manifest.
	if m, err := Check(t.Context(), workloads.Gen{}, t.TempDir()); m != nil || err != nil {
		t.Errorf("own data: %+v, %v", m, err)
	}
	if err := os.WriteFile(ManifestPath(dir), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), workloads.Gen{}, dir); err == nil || !strings.Contains(err.Error(), "mine.data.json") {
		t.Errorf("a damaged manifest: %v", err)
	}
}

func TestCleanTakesOnlyItsOwn(t *testing.T) {
	c, cache := &counter{}, Cache{t.TempDir()}
	w := c.workload()
	set, err := cache.Get(t.Context(), w, w.Values(), workloads.Gen{}, none(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{
		"users-own", "counter-0123456789abcdef", // the second lost its manifest
		fmt.Sprintf("counter-0123456789abcdee%s%d-1", partialMark, os.Getpid()),
		fmt.Sprintf("counter-0123456789abcded%s%d-1", partialMark, 1<<30), // no process has that number
	} {
		if err := os.Mkdir(filepath.Join(cache.Dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	removed, size, err := cache.Clean(true)
	if err != nil || len(removed) != 3 || size != units.Bytes(80) {
		t.Errorf("dry: %v, %d, %v", removed, size, err)
	}
	if _, err := os.Stat(set.Dir); err != nil {
		t.Error("a dry clean removed data")
	}
	if removed, _, err = cache.Clean(false); err != nil || len(removed) != 3 {
		t.Errorf("clean: %v, %v", removed, err)
	}
	want := fmt.Sprintf("counter-0123456789abcdee%s%d-1 users-own", partialMark, os.Getpid())
	if got := names(t, cache.Dir); got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	if _, err := ReadManifest(set.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the manifest: %v", err)
	}
	if removed, _, err := (Cache{filepath.Join(cache.Dir, "no")}).Clean(false); removed != nil || err != nil {
		t.Errorf("no cache: %v, %v", removed, err)
	}
}
