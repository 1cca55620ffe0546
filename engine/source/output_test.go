package source

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// tree returns every file and folder below dir.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			names = append(names, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// writePart writes one partition in pieces of every size.
func writePart(o *Output, part int, attempt id.Task, content []byte) (w *PartWriter, err error) {
	w, err = o.Part(part, attempt, make([]byte, partBufferMin))
	if err != nil {
		return nil, err
	}
	rng := newRand(uint64(part))
	for rest := content; len(rest) > 0; {
		n := min(len(rest), []int{1, 100, 5000, 20_000, 70_000}[rng.IntN(5)])
		if rng.IntN(2) == 0 {
			_, err = w.Write(rest[:n])
		} else {
			var dst []byte
			if dst, err = w.Available(); err == nil {
				_, err = w.Write(append(dst, rest[:n]...))
			}
		}
		if err != nil {
			return w, err
		}
		rest = rest[n:]
	}
	return w, w.Close()
}

func content(part int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "partition %d\n", part), 9000*(part%3))
}

// job writes parts partitions and commits, or aborts what failed.
func job(f fsys.FS, dir string, parts int) (w Written, err error) {
	o, err := CreateOutput(f, dir)
	if err != nil {
		return w, err
	}
	var attempts []id.Task
	for i := range parts {
		attempts = append(attempts, id.Task(100+i))
		p, err := writePart(JoinOutput(f, dir), i, attempts[i], content(i))
		if err == nil {
			err = p.Commit()
		}
		if err != nil {
			if p != nil {
				err = errors.Join(err, p.Abort())
			}
			return w, errors.Join(err, o.Abort())
		}
	}
	if w, err = o.Commit(attempts); err != nil {
		return w, errors.Join(err, o.Abort())
	}
	return w, nil
}

func TestOutput(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	w, err := job(fsys.OS, dir, 4)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"_SUCCESS", "part-00000", "part-00001", "part-00002", "part-00003"}; !slices.Equal(tree(t, dir), want) {
		t.Errorf("folder holds %v, want %v", tree(t, dir), want)
	}
	var size int64
	for i := range 4 {
		b, err := os.ReadFile(filepath.Join(dir, PartName(i)))
		if err != nil || !bytes.Equal(b, content(i)) {
			t.Errorf("partition %d: %d bytes, %v; want %d", i, len(b), err, len(content(i)))
		}
		size += int64(len(b))
	}
	if w.Files != 4 || w.Bytes != size {
		t.Errorf("written %+v, want 4 files of %d bytes", w, size)
	}
	_, err = CreateOutput(fsys.OS, dir)
	if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second job: %v, want ErrExists that names the folder", err)
	}
	_, err = CreateOutput(fsys.OS, filepath.Join(dir, PartName(0)))
	if !errors.Is(err, ErrExists) {
		t.Errorf("a file as output folder: %v, want ErrExists", err)
	}
	if files, _ := List(fsys.OS, []string{dir}, SkipHidden); len(files) != 4 {
		t.Errorf("%d data files, want 4", len(files))
	}
}

func TestOutputIsInvisibleUntilCommit(t *testing.T) {
	dir := t.TempDir() // an empty folder will do
	o, err := CreateOutput(fsys.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	visible := func() []string {
		files, err := List(fsys.OS, []string{dir}, SkipHidden)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, filepath.Base(f.Path))
		}
		return names
	}
	first, err := writePart(o, 0, 1, []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := writePart(o, 0, 2, []byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	third, err := writePart(o, 0, 3, []byte("late"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second.Commit(), first.Abort(), third.Commit()); err != nil {
		t.Fatal(err)
	}
	if got := visible(); len(got) != 0 {
		t.Errorf("visible before the job's commit: %v", got)
	}
	if _, err := o.Commit([]id.Task{2}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "part-00000")); string(b) != "second" {
		t.Errorf("partition holds %q, want that of the attempt whose result counts", b)
	}
	if got, want := tree(t, dir), []string{"_SUCCESS", "part-00000"}; !slices.Equal(got, want) {
		t.Errorf("folder holds %v, want %v", got, want)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	for _, there := range []bool{false, true} {
		dir := filepath.Join(parent, fmt.Sprint(there))
		if there {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		o, err := CreateOutput(fsys.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := writePart(o, 0, 1, []byte("x"))
		if err == nil {
			err = committed.Commit()
		}
		if err == nil {
			_, err = o.Part(1, 2, make([]byte, partBufferMin)) // still open
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(o.Abort(), o.Abort()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); (err == nil) != there {
			t.Errorf("folder that was there: %v, afterwards: %v", there, err)
		}
		if got := tree(t, dir); len(got) != 0 {
			t.Errorf("left: %v", got)
		}
	}
}

// lateFS removes a folder in the steps that the operating system takes: first
// what it finds in it, then the folder itself. In between something may happen
// to the folder of that name, once.
type lateFS struct {
	fsys.FS
	late map[string]func() error
}

func (s *lateFS) RemoveAll(name string) error {
	entries, err := s.ReadDir(name)
	if err != nil {
		return nil // a file, or nothing any more: no test looks on
	}
	for _, e := range slices.Backward(entries) {
		path, remove := filepath.Join(name, e.Name()), s.Remove
		if e.IsDir() {
			remove = s.RemoveAll
		}
		if err := remove(path); err != nil {
			return err
		}
	}
	if happens := s.late[filepath.Base(name)]; happens != nil {
		delete(s.late, filepath.Base(name))
		if err := happens(); err != nil {
			return err
		}
	}
	return s.Remove(name)
}

// Attempts that were given up, or have yet to hear that their job is over, go
// on while the folder is emptied: nothing is left of what they write, and no
// commit fails for them.
func TestLateAttemptsLeaveNothing(t *testing.T) {
	for _, commits := range []bool{false, true} {
		disk := &lateFS{FS: fsys.OS}
		dir := filepath.Join(t.TempDir(), "out")
		o, err := CreateOutput(disk, dir)
		if err != nil {
			t.Fatal(err)
		}
		begin := func(attempt id.Task) (*PartWriter, error) {
			return JoinOutput(disk, dir).Part(0, attempt, make([]byte, partBufferMin))
		}
		good, err := writePart(o, 0, 1, []byte("good"))
		if err == nil {
			err = good.Commit()
		}
		slow, err2 := begin(2)
		closed, err3 := writePart(o, 0, 3, []byte("closed"))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		var begun *PartWriter
		disk.late = map[string]func() error{
			committed: func() error { return closed.Commit() },
			temporary: func() (err error) { begun, err = begin(4); return err },
		}
		end, want := o.Abort, []string(nil)
		if commits {
			end, want = func() error { _, err := o.Commit([]id.Task{1}); return err }, []string{"_SUCCESS", "part-00000"}
		}
		if err := end(); err != nil || len(disk.late) > 0 {
			t.Fatalf("commits %v: %v, with %d things still to happen", commits, err, len(disk.late))
		}
		for _, w := range []*PartWriter{slow, begun} {
			_, err := w.Write([]byte("late"))
			if err := errors.Join(err, w.Close()); err != nil {
				t.Error(err)
			}
			if err := w.Commit(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("commits %v: a late attempt hands in its file: %v", commits, err)
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
		}
		if _, err := begin(5); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("commits %v: an attempt begins when all is over: %v", commits, err)
		}
		if got := tree(t, dir); !slices.Equal(got, want) {
			t.Errorf("commits %v: the folder holds %v, want %v", commits, got, want)
		}
		if _, err := os.Stat(dir); (err == nil) != commits {
			t.Errorf("commits %v: the folder: %v", commits, err)
		}
	}
}

// Every operation of a job can fail: the error is the fault's and names a
// path, no file stays open, and nothing stays in the folder.
func TestOutputFaults(t *testing.T) {
	ops := fsys.OpMutates | fsys.OpClose
	count := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: ops})
	if _, err := job(count, filepath.Join(t.TempDir(), "out"), 3); err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= count.Counted(); k++ {
		dir := filepath.Join(t.TempDir(), "out")
		f := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: ops, K: k, Short: 1000, Err: syscall.ENOSPC})
		_, err := job(f, dir, 3)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), dir) {
			t.Errorf("k=%d: %v, want ENOSPC with a path", k, err)
		}
		if open := f.StillOpen(); len(open) > 0 {
			t.Errorf("k=%d: still open: %v", k, open)
		}
		if left := tree(t, dir); len(left) > 0 {
			t.Errorf("k=%d: left %v after %v", k, left, err)
		}
	}
}

func TestOutputIsCountedAndTimed(t *testing.T) {
	o, err := CreateOutput(fsys.OS, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := o.Part(0, 0, make([]byte, partBufferMin))
	if err != nil {
		t.Fatal(err)
	}
	var (
		now     int64
		timer   task.Timer
		metrics task.Metrics
	)
	timer.Start(func() int64 { now++; return now }, 0)
	w.Timer, w.Metrics = &timer, &metrics
	for range 40 {
		if _, err := w.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		w.AddRecords(10)
	}
	if err := errors.Join(w.Close(), w.Commit()); err != nil {
		t.Fatal(err)
	}
	timer.Stop(now, &metrics)
	if metrics[task.OutputBytesWritten] != 40_000 || metrics[task.OutputRecordsWritten] != 400 || w.Bytes() != 40_000 || w.Records() != 400 {
		t.Errorf("%d bytes and %d records counted, want 40000 and 400", metrics[task.OutputBytesWritten], metrics[task.OutputRecordsWritten])
	}
	if out, compute := metrics[task.OutputWriteTime], metrics[task.ComputeTime]; out == 0 || compute == 0 || out+compute != now {
		t.Errorf("output %d, compute %d of %d", out, compute, now)
	}
}
