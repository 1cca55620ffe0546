package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const kib = int(units.KiB)

// rig is a store with its memory and disk, closed and found empty at the end
// of the test.
type rig struct {
	t       *testing.T
	parent  string
	memory  *memory.Manager
	disk    *Disk
	store   *Store
	updates []string
	tasks   map[id.Task]*memory.Task
}

// newRig returns a store with that many bytes for blocks and execution.
func newRig(t *testing.T, bytes int, change ...func(*Config, *fsys.FS)) *rig {
	t.Helper()
	r := &rig{t: t, parent: t.TempDir(), tasks: map[id.Task]*memory.Task{}}
	fs := fsys.OS
	cfg := Config{Executor: id.Driver, OnUpdate: r.updated}
	for _, c := range change {
		c(&cfg, &fs)
	}
	var err error
	r.memory, err = memory.NewManager(memory.Config{Budget: units.Bytes(bytes), Reserved: -1, Floor: 1, PageSize: 64 * units.KiB})
	if err != nil {
		t.Fatal(err)
	}
	if r.disk, err = OpenDisk(r.parent, fs); err != nil {
		t.Fatal(err)
	}
	cfg.Memory, cfg.Disk = r.memory, r.disk
	if r.store, err = NewStore(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// updated notes where a block is now.
func (r *rig) updated(b block.ID, level block.Level, mem, disk int64) {
	if level == block.LevelNone && (mem != 0 || disk != 0) {
		r.t.Errorf("block %s is gone but takes %d and %d", b, mem, disk)
	}
	where := "gone"
	switch {
	case mem > 0 && disk > 0:
		where = "both"
	case mem > 0:
		where = "memory"
	case disk > 0:
		where = "disk"
	}
	r.updates = append(r.updates, string(b)+" "+where)
}

func (r *rig) close() {
	for _, task := range r.tasks {
		r.store.ReleaseTask(task.ID())
		if leaked := task.Close(); leaked != 0 {
			r.t.Errorf("%s leaked %d bytes", task, leaked)
		}
	}
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
	for _, a := range r.memory.Accounts() {
		if a.Name != memory.FreePages {
			r.t.Errorf("%s holds %d bytes after the store is closed", a.Name, a.Bytes)
		}
	}
	if names := r.disk.Names(); len(names) > 0 {
		r.t.Errorf("files are left after the store is closed: %v", names)
	}
	if err := r.disk.Close(); err != nil {
		r.t.Error(err)
	}
	if left, err := os.ReadDir(r.parent); err != nil || len(left) > 0 {
		r.t.Errorf("the temporary folder is not empty: %v, %v", left, err)
	}
	if err := r.memory.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) task(n id.Task) *memory.Task {
	if r.tasks[n] == nil {
		r.tasks[n] = r.memory.NewTask(n)
	}
	return r.tasks[n]
}

// payload returns n bytes that depend on seed and do not compress.
func payload(seed, n int) []byte {
	b := make([]byte, n)
	x := uint64(seed)*0x9E3779B97F4A7C15 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// cache writes a partition of the given frames and reports whether it was
// stored.
func (r *rig) cache(task id.Task, b block.ID, level block.Level, frames ...[]byte) bool {
	r.t.Helper()
	w, ok := r.store.NewWriter(r.task(task), b, level)
	if !ok {
		r.t.Fatalf("block %s is there or being written", b)
	}
	for i, f := range frames {
		if err := w.Frame(i+1, f); err != nil {
			r.t.Fatal(err)
		}
	}
	stored, err := w.Commit()
	if err != nil {
		r.t.Fatal(err)
	}
	return stored
}

// open opens a partition that must be there.
func (r *rig) open(task id.Task, b block.ID) *Reader {
	r.t.Helper()
	rd, err := r.store.Open(r.task(task), b)
	if err != nil {
		r.t.Fatal(err)
	}
	return rd
}

// mustRead reads a partition and compares it.
func (r *rig) mustRead(task id.Task, b block.ID, frames ...[]byte) {
	r.t.Helper()
	rd := r.open(task, b)
	defer rd.Close()
	if err := compare(rd, frames); err != nil {
		r.t.Fatalf("block %s: %v", b, err)
	}
}

func compare(rd *Reader, frames [][]byte) error {
	for i, want := range frames {
		rows, data, err := rd.Next()
		if err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if rows != i+1 || !bytes.Equal(data, want) {
			return fmt.Errorf("frame %d: %d rows and %d bytes are not the %d rows and %d bytes written", i, rows, len(data), i+1, len(want))
		}
	}
	switch _, _, err := rd.Next(); err {
	case io.EOF:
		return nil
	case nil:
		return fmt.Errorf("more than %d frames", len(frames))
	default:
		return fmt.Errorf("after %d frames, want io.EOF: %w", len(frames), err)
	}
}

func (r *rig) mustNotFind(task id.Task, b block.ID) {
	r.t.Helper()
	if _, err := r.store.Open(r.task(task), b); !errors.Is(err, ErrBlockNotFound) {
		r.t.Fatalf("opening %s: %v, want ErrBlockNotFound", b, err)
	}
}

// where says which tiers a block is in.
func (r *rig) where(b block.ID) string {
	for _, i := range r.store.Blocks() {
		if i.ID == b {
			switch {
			case i.Memory > 0 && i.Disk > 0:
				return "both"
			case i.Memory > 0:
				return "memory"
			case i.Disk > 0:
				return "disk"
			}
			return "nowhere"
		}
	}
	return "gone"
}

func (r *rig) mustBe(where string, blocks ...block.ID) {
	r.t.Helper()
	for _, b := range blocks {
		if got := r.where(b); got != where {
			r.t.Fatalf("block %s is %s, want %s", b, got, where)
		}
	}
}

// files returns the paths of all files below the session's folder but its
// lock.
func (r *rig) files() (paths []string) {
	r.t.Helper()
	all, err := filepath.Glob(filepath.Join(r.disk.Dir(), "*", "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// account returns what an owner has reserved.
func (r *rig) account(name string) int64 {
	for _, a := range r.memory.Accounts() {
		if a.Name == name {
			return a.Bytes
		}
	}
	return 0
}
