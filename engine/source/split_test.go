package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/units"
)

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.txt", "a/z.gz", "a/.hidden", "_SUCCESS", "c/d/e.zst", ".git/x"} {
		write(t, dir, name, []byte("x"))
	}
	if err := os.Symlink("b.txt", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	names := func(hidden Hidden, paths ...string) (out []string) {
		t.Helper()
		files, err := List(fsys.OS, paths, hidden)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			rel, _ := filepath.Rel(dir, f.Path)
			out = append(out, fmt.Sprintf("%s:%v", rel, f.Format))
			if info, err := os.Stat(f.Path); err != nil || info.Size() != f.Size {
				t.Errorf("%s: size %d, %v", rel, f.Size, err)
			}
		}
		return out
	}
	if got, want := names(ReadHidden, dir), []string{".git/x:plain", "_SUCCESS:plain", "a/.hidden:plain", "a/z.gz:gzip", "b.txt:plain", "c/d/e.zst:zstd"}; !slices.Equal(got, want) {
		t.Errorf("all: %v, want %v", got, want)
	}
	if got, want := names(SkipHidden, dir), []string{"a/z.gz:gzip", "b.txt:plain", "c/d/e.zst:zstd"}; !slices.Equal(got, want) {
		t.Errorf("data: %v, want %v", got, want)
	}
	link := filepath.Join(dir, "link")
	if got, want := names(SkipHidden, link, filepath.Join(dir, "_SUCCESS")), []string{"link:plain", "_SUCCESS:plain"}; !slices.Equal(got, want) {
		t.Errorf("named directly: %v, want %v", got, want)
	}
	for _, path := range []string{filepath.Join(dir, "none"), "/dev/null"} {
		if _, err := List(fsys.OS, []string{dir, path}, ReadHidden); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error that names it", path, err)
		}
	}
	f := fsys.NewFaulty(fsys.OS, fsys.Fault{Glob: "d", K: 1})
	if _, err := List(f, []string{dir}, ReadHidden); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "c/d") {
		t.Errorf("folder that cannot be listed: %v", err)
	}
}

// Pieces tile the files in order, splits are as many as asked, cuts respect
// units, and shares are even.
func TestCut(t *testing.T) {
	for seed := range uint64(300) {
		rng := newRand(seed)
		unit := []int{1, 1, 100, 7}[rng.IntN(4)]
		var files []File
		var total int64
		for i := range rng.IntN(40) {
			f := File{Path: fmt.Sprint(i), Size: int64(rng.IntN([]int{1, 10, 1000, 1 << 20}[rng.IntN(4)])) * int64(unit)}
			if rng.IntN(8) == 0 {
				f.Format = Gzip
			}
			files = append(files, f)
			total += f.weight()
		}
		o := CutOptions{Parts: rng.IntN(30), Unit: unit, Whole: rng.IntN(6) == 0}
		splits := cut(t, files, o)
		if len(splits) != max(o.Parts, 1) {
			t.Fatalf("seed %d: %d splits, want %d", seed, len(splits), o.Parts)
		}
		var at struct {
			file   int
			offset int64
		}
		for i, s := range splits {
			if s.Index != i {
				t.Fatalf("seed %d: split %d has index %d", seed, i, s.Index)
			}
			var weight, largest int64
			for _, p := range s.Pieces {
				for files[at.file].Size == at.offset {
					at.file, at.offset = at.file+1, 0
				}
				f := files[at.file]
				if p.Path != f.Path || p.Offset != at.offset || p.Length < 1 || p.Offset+p.Length > f.Size || p.Size != f.Size {
					t.Fatalf("seed %d: piece %+v does not follow %+v of %+v", seed, p, at, f)
				}
				if (o.Whole || f.Format != Plain) && p.Length != f.Size {
					t.Fatalf("seed %d: %+v was cut: %+v", seed, f, p)
				}
				if f.Format == Plain && p.Length%int64(unit) != 0 {
					t.Fatalf("seed %d: piece %+v is not of whole units of %d", seed, p, unit)
				}
				at.offset += p.Length
				weight += p.Length
				if p.Format != Plain || o.Whole {
					largest = max(largest, f.weight())
				}
			}
			if even := total / int64(len(splits)); largest == 0 && weight > even+even/4+2*int64(unit) {
				t.Errorf("seed %d: split %d has %d bytes, even is %d", seed, i, weight, even)
			}
		}
		for at.file < len(files) && files[at.file].Size == at.offset {
			at.file, at.offset = at.file+1, 0
		}
		if at.file != len(files) {
			t.Fatalf("seed %d: input ends at file %d of %d", seed, at.file, len(files))
		}
	}
}

func TestSmallFilesAreNotCut(t *testing.T) {
	var files []File
	for i := range 2000 {
		files = append(files, File{Path: fmt.Sprint(i), Size: 20_000})
	}
	pieces := 0
	for _, s := range cut(t, files, CutOptions{Parts: 16}) {
		pieces += len(s.Pieces)
	}
	if pieces != 2000 {
		t.Errorf("%d pieces of 2000 small files", pieces)
	}
}

func TestUnevenRecords(t *testing.T) {
	_, err := Cut([]File{{"a", 200, Plain}, {"b", 250, Plain}}, CutOptions{Parts: 2, Unit: 100})
	w, ok := errors.AsType[*WidthError](err)
	if !ok || w.Path != "b" || w.Remainder != 50 || !strings.Contains(err.Error(), "b as records of 100 bytes: its 250 bytes leave a remainder of 50") {
		t.Errorf("%v, want a *WidthError for b", err)
	}
}

func TestPartsFor(t *testing.T) {
	files := []File{{"a", 1000, Plain}, {"b", 250, Gzip}}
	for _, c := range []struct {
		target units.Bytes
		step   int
		want   int
	}{{500, 1, 4}, {501, 1, 4}, {2000, 1, 1}, {1999, 1, 2}, {10000, 3, 3}, {10000, 0, 1}, {500, 3, 6}, {300, 2, 8}} {
		if got := PartsFor(files, c.target, c.step); got != c.want {
			t.Errorf("PartsFor(%d, %d) = %d, want %d", c.target, c.step, got, c.want)
		}
	}
	if got := PartsFor(nil, 100, 0); got != 1 {
		t.Errorf("PartsFor of nothing = %d, want 1", got)
	}
}
