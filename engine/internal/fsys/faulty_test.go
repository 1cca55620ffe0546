package fsys_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// save writes a file in two pieces under a temporary name and renames it;
// on failure it removes what it made.
func save(f fsys.FS, name string) (err error) {
	h, err := f.Create(name + ".tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Remove(name + ".tmp")
		}
	}()
	for _, s := range []string{"hello ", "world"} {
		if _, err := h.Write([]byte(s)); err != nil {
			return errors.Join(err, h.Close())
		}
	}
	if err := h.Close(); err != nil {
		return err
	}
	return f.Rename(name+".tmp", name)
}

func TestEveryOperationCanFail(t *testing.T) {
	count := fsys.NewFaulty(fsys.OS, fsys.Fault{})
	if err := save(count, filepath.Join(t.TempDir(), "a")); err != nil {
		t.Fatal(err)
	}
	if got := count.Counted(); got != 5 { // create, write, write, close, rename
		t.Fatalf("counted %d operations, want 5", got)
	}
	for k := 1; k <= 5; k++ {
		dir := t.TempDir()
		f := fsys.NewFaulty(fsys.OS, fsys.Fault{K: k, Err: syscall.ENOSPC})
		err := save(f, filepath.Join(dir, "a"))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("k=%d: error %v, want ENOSPC", k, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("k=%d: left %v", k, left)
		}
		if open := f.StillOpen(); len(open) != 0 {
			t.Errorf("k=%d: still open %v", k, open)
		}
		if f.Fired() != 1 {
			t.Errorf("k=%d: fired %d times, want once", k, f.Fired())
		}
	}
}

func TestShortWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpWrite, K: 1, Short: 3})
	h, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := h.Write([]byte("hello"))
	if n != 3 || !errors.Is(err, syscall.EIO) {
		t.Errorf("Write = %d, %v; want 3, EIO", n, err)
	}
	if got := f.StillOpen(); len(got) != 1 || got[0] != name {
		t.Errorf("StillOpen = %v, want the one file", got)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(name); string(b) != "hel" {
		t.Errorf("file holds %q, want %q", b, "hel")
	}
}

func TestFilterAndAfter(t *testing.T) {
	dir := t.TempDir()
	f := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpCreate, Glob: "*.data", K: 2, After: true})
	for i, name := range []string{"x.index", "a.data", "b.data", "c.index", "d.data"} {
		h, err := f.Create(filepath.Join(dir, name))
		if wantErr := i == 2 || i == 4; (err != nil) != wantErr {
			t.Errorf("Create %s: %v", name, err)
		}
		if err == nil {
			h.Close()
		}
	}
	if f.Counted() != 3 || f.Fired() != 2 {
		t.Errorf("counted %d fired %d, want 3 and 2", f.Counted(), f.Fired())
	}
}

func TestErrorsAreThoseOfPackageOS(t *testing.T) {
	for name, f := range map[string]fsys.FS{"os": fsys.OS, "faulty": fsys.NewFaulty(fsys.OS, fsys.Fault{})} {
		h, err := f.Open(filepath.Join(t.TempDir(), "none"))
		if h != nil || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Open of a missing file = %v, %v", name, h, err)
		}
	}
}

func TestWriteFileLeavesNothingBehind(t *testing.T) {
	for k := 1; k <= 3; k++ {
		dir := t.TempDir()
		f := fsys.NewFaulty(fsys.OS, fsys.Fault{K: k, Short: 2})
		if err := fsys.WriteFile(f, filepath.Join(dir, "a"), []byte("abc")); !errors.Is(err, syscall.EIO) {
			t.Errorf("k=%d: %v, want EIO", k, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("k=%d: left %v", k, left)
		}
	}
	name := filepath.Join(t.TempDir(), "a")
	if err := fsys.WriteFile(fsys.OS, name, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if b, err := fsys.ReadFile(fsys.OS, name); err != nil || string(b) != "abc" {
		t.Errorf("ReadFile = %q, %v", b, err)
	}
}

func TestDamageBeforeAnOperation(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	var done []string
	f := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpRead, K: 2, Do: func(name string) {
		done = append(done, name)
		if err := os.Truncate(name, 1); err != nil {
			t.Error(err)
		}
	}})
	if err := fsys.WriteFile(f, name, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	h, err := f.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var b [3]byte
	if n, err := h.ReadAt(b[:], 0); n != 3 || err != nil {
		t.Errorf("first read: %d, %v", n, err)
	}
	if n, _ := h.ReadAt(b[:], 0); n != 1 {
		t.Errorf("second read: %d bytes, want what was left", n)
	}
	if len(done) != 1 || done[0] != name || f.Fired() != 1 {
		t.Errorf("done to %v, fired %d", done, f.Fired())
	}
}
