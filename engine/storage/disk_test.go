package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/internal/fsys"
)

func openDisk(t *testing.T, fsy fsys.FS) *Disk {
	t.Helper()
	d, err := OpenDisk(t.TempDir(), fsy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func writeFile(t *testing.T, d *Disk, name string, data []byte) {
	t.Helper()
	f, err := d.TempFile("temp_local")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(name); err != nil {
		t.Fatal(err)
	}
}

// Golden vectors of spark-semantics §13, block path.
func TestBlockPathGoldenVectors(t *testing.T) {
	d := openDisk(t, fsys.OS)
	for name, sub := range map[string]string{
		"shuffle_0_0_0.data": "0c", "shuffle_0_0_0.index": "30", "shuffle_3_17_0.data": "0f", "rdd_4_2": "1a", "taskresult_12": "22",
	} {
		if got, want := d.Path(name), filepath.Join(d.Dir(), sub, name); got != want {
			t.Errorf("%s is at %s, want %s", name, got, want)
		}
	}
}

// NOT APPLICABLE: BLK-023 as to two local directories, because a session has
// one.
func TestBLK_023_FilesAreFoundAcrossSubFolders(t *testing.T) {
	d := openDisk(t, fsys.OS)
	var names []string
	folders := map[string]bool{}
	for i := range 100 {
		name := fmt.Sprintf("rdd_%d_%d", i%7, i)
		writeFile(t, d, name, []byte(name))
		names = append(names, name)
		folders[filepath.Dir(d.Path(name))] = true
	}
	slices.Sort(names)
	if err := os.WriteFile(filepath.Join(filepath.Dir(d.Path("rdd_0_0")), "foreign"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.Names(); !slices.Equal(got, names) {
		t.Errorf("found %d files, want the 100 written: %v", len(got), got)
	}
	if len(folders) < 30 {
		t.Errorf("100 files lie in %d folders, want them spread", len(folders))
	}
	if err := os.Remove(d.Path("rdd_0_7")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open("rdd_0_7"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening a deleted file: %v, want fs.ErrNotExist", err)
	}
}

// NOT APPLICABLE: BLK-024 as to chunks and mapping, because files are read in
// frames, and never mapped.
func TestBLK_024_SizesOnDisk(t *testing.T) {
	d := openDisk(t, fsys.OS)
	data := payload(1, 32)
	writeFile(t, d, "rdd_1_1", data)
	if n, ok := d.Size("rdd_1_1"); n != 32 || !ok || d.Used() != 32 {
		t.Errorf("size %d, %v, used %d; want 32", n, ok, d.Used())
	}
	f, err := d.Open("rdd_1_1")
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := f.ReadAt(got, 0); n != 32 || err != io.EOF || !bytes.Equal(got[:n], data) {
		t.Errorf("read %d bytes, %v; want the 32 written and io.EOF", n, err)
	}
	f.Close()
	if !d.Remove("rdd_1_1") || d.Remove("rdd_1_1") {
		t.Error("a file is removed once")
	}
	if n, ok := d.Size("rdd_1_1"); n != 0 || ok || d.Used() != 0 {
		t.Errorf("size %d, %v, used %d after removal; want 0", n, ok, d.Used())
	}
}

func TestTemporaryFileIsGoneUnlessCommitted(t *testing.T) {
	d := openDisk(t, fsys.OS)
	f, err := d.TempFile("temp_shuffle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2)
	if _, err := f.ReadAt(got, 1); err != nil || string(got) != "bc" {
		t.Errorf("read %q, %v before the commit", got, err)
	}
	if d.Used() != 3 {
		t.Errorf("used %d, want 3", d.Used())
	}
	path := f.Path()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || d.Used() != 0 {
		t.Errorf("%v, used %d; want the file gone", err, d.Used())
	}
}

func TestFreedFilesAreReusedWithoutShowingWhatTheyHeld(t *testing.T) {
	d := openDisk(t, fsys.OS)
	old := payload(1, int(recycleLeast)+1000)
	writeFile(t, d, "rdd_1_1", old)
	before, err := os.Stat(d.Path("rdd_1_1"))
	if err != nil {
		t.Fatal(err)
	}
	d.Remove("rdd_1_1")
	f, err := d.TempFile("temp_local")
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the freed file was not reused")
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if n, err := f.ReadAt(got, 0); n != 3 || err != io.EOF || string(got[:n]) != "new" {
		t.Errorf("read %q, %v; want the new content alone", got[:n], err)
	}
	if err := f.Commit("rdd_1_2"); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(d.Path("rdd_1_2")); err != nil || string(data) != "new" {
		t.Errorf("the committed file holds %d bytes, %v; want the new content alone", len(data), err)
	}
}

// A temporary file that could not be closed is gone, not kept for reuse.
func TestFileThatCouldNotBeClosedIsNotReused(t *testing.T) {
	d := openDisk(t, fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpClose, Glob: "temp_local_*", K: 1}))
	f, err := d.TempFile("temp_local")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(payload(1, int(recycleLeast))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(d.Path("temp_local_1")); !errors.Is(err, fs.ErrNotExist) || d.Used() != 0 {
		t.Errorf("%v, used %d; want the file gone", err, d.Used())
	}
}

func TestFileBeingReadIsNotReused(t *testing.T) {
	d := openDisk(t, fsys.OS)
	data := payload(1, int(recycleLeast))
	writeFile(t, d, "rdd_1_1", data)
	r, err := d.Open("rdd_1_1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d.Remove("rdd_1_1")
	writeFile(t, d, "rdd_1_2", payload(2, int(recycleLeast)))
	got := make([]byte, len(data))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a file that is read changed under its reader: %v", err)
	}
}

// A file kept for reuse is out of the way of a later file of the same name.
func TestFreedFileDoesNotStandForItsName(t *testing.T) {
	d := openDisk(t, fsys.OS)
	const files = 3
	name := func(i int) string { return fmt.Sprintf("rdd_1_%d", i) }
	for i := range files {
		writeFile(t, d, name(i), payload(i, int(recycleLeast)))
	}
	for i := range files {
		d.Remove(name(i))
		if _, err := os.Stat(d.Path(name(i))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was removed, and is still there: %v", name(i), err)
		}
	}
	for i := range files { // takes up a freed file each, and its name
		writeFile(t, d, name(i), payload(10+i, int(recycleLeast)))
	}
	for range files { // must not take up any of those
		f, err := d.TempFile("temp_local")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(payload(99, 1000)); err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	for i := range files {
		got, err := os.ReadFile(d.Path(name(i)))
		if err != nil || !bytes.Equal(got, payload(10+i, int(recycleLeast))) {
			t.Errorf("%s holds something else: %d bytes, %v", name(i), len(got), err)
		}
	}
}

func TestFullDiskIsToldWithPathAndAmount(t *testing.T) {
	faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpWrite, K: 2, After: true, Err: syscall.ENOSPC})
	d := openDisk(t, faulty)
	f, err := d.TempFile("temp_local")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 2048)); err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, 4096))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "cannot write 4.00 KiB to "+f.Path()) {
		t.Errorf("got %v, want the path, the amount and ENOSPC", err)
	}
	path := f.Path()
	f.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || d.Used() != 0 {
		t.Errorf("%v, used %d; want the file gone", err, d.Used())
	}
}

// A full disk first gives up the files kept for reuse.
func TestFullDiskTakesTheFreedFiles(t *testing.T) {
	faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpWrite, K: 4, Err: syscall.ENOSPC, Short: 10})
	d := openDisk(t, faulty)
	for i := range 2 {
		writeFile(t, d, fmt.Sprintf("rdd_1_%d", i), payload(i, int(recycleLeast)))
	}
	d.Remove("rdd_1_0")
	d.Remove("rdd_1_1")
	f, err := d.TempFile("temp_local")
	if err != nil {
		t.Fatal(err)
	}
	want := payload(3, 1000)
	for _, part := range [][]byte{want[:500], want[500:]} { // writes 3 and 4
		if _, err := f.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 1000)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was written after making room is not what is read: %v", err)
	}
	f.Close()
	if len(d.mu.free) != 1 { // f's own
		t.Errorf("%d files are kept for reuse, want the other one gone", len(d.mu.free))
	}
}

// Every operation of a commit may fail; the error is told and nothing stays.
func TestEveryFaultOfACommit(t *testing.T) {
	run := func(k int) (counted int, err error) {
		faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpMutates | fsys.OpClose | fsys.OpOther, K: k})
		parent := t.TempDir()
		d, err := OpenDisk(parent, faulty)
		if err == nil {
			err = func() error {
				f, err := d.TempFile("temp_local")
				if err != nil {
					return err
				}
				defer f.Close()
				if _, err := f.Write([]byte("abc")); err != nil {
					return err
				}
				return f.Commit("rdd_1_1")
			}()
			if err != nil && (len(d.Names()) > 0 || d.Used() != 0) {
				t.Errorf("fault %d: %v and %d bytes are left", k, d.Names(), d.Used())
			}
			if err := d.Close(); err != nil {
				t.Errorf("fault %d: %v", k, err)
			}
		}
		if left, _ := os.ReadDir(parent); len(left) > 0 {
			t.Errorf("fault %d: %v is left", k, left)
		}
		return faulty.Counted(), err
	}
	n, err := run(0)
	if err != nil || n < 6 {
		t.Fatalf("without a fault: %v after %d operations", err, n)
	}
	for k := 1; k <= n; k++ {
		if _, err := run(k); !errors.Is(err, syscall.EIO) {
			t.Errorf("fault %d of %d: got %v, want EIO", k, n, err)
		}
	}
}

func TestCleanStale(t *testing.T) {
	parent := t.TempDir()
	alive, err := OpenDisk(parent, fsys.OS)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()

	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Skipf("no process to end: %v", err)
	}
	dead := filepath.Join(parent, fmt.Sprintf("%s%d-%08x", folderPrefix, gone.Process.Pid, 1))
	noLock := filepath.Join(parent, fmt.Sprintf("%s%d-%08x", folderPrefix, gone.Process.Pid, 2))
	making := filepath.Join(parent, fmt.Sprintf("%s%d-%08x", folderPrefix, os.Getpid(), 3))
	reused := filepath.Join(parent, fmt.Sprintf("%s%d-%08x", folderPrefix, os.Getpid(), 4))
	foreign := filepath.Join(parent, "execbench-data")
	for _, dir := range []string{dead, noLock, making, reused, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "00"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(dead, "owner.lock"), filepath.Join(reused, "owner.lock"), filepath.Join(dead, "00", "rdd_1_1")} {
		if err := os.WriteFile(f, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	removed, n, err := CleanStale(parent)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(removed)
	want := []string{dead, noLock, reused}
	slices.Sort(want)
	if !slices.Equal(removed, want) || n != 300 {
		t.Errorf("removed %v of %d bytes, want %v of 300", removed, n, want)
	}
	for _, dir := range []string{alive.Dir(), making, foreign} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%s is not stale: %v", dir, err)
		}
	}
	if _, _, err := CleanStale(filepath.Join(parent, "nowhere")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}
