package storage

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/internal/fsys"
)

// The job that recomputes, with a limit of two attempts, is the engine's
// test.
func TestBLK_006_LostFileFailsOnceThenIsForgotten(t *testing.T) {
	r := newRig(t, 1<<20)
	r.cache(1, b1, block.DiskOnly, payload(1, 1000))
	if err := r.store.PutBytes(block.TaskResult(1), block.DiskOnly, payload(1, 1000)); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.files() {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.store.Open(r.task(1), b1); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBlockNotFound) {
		t.Errorf("first open: %v, want the file's error", err)
	}
	r.mustNotFind(1, b1)
	if _, _, err := r.store.GetBytes(block.TaskResult(1)); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBlockNotFound) {
		t.Errorf("first get: %v, want the file's error", err)
	}
	if _, _, err := r.store.GetBytes(block.TaskResult(1)); !errors.Is(err, ErrBlockNotFound) {
		t.Errorf("second get: %v, want ErrBlockNotFound", err)
	}
	r.cache(1, b1, block.DiskOnly, payload(1, 1000)) // and it can be computed again
	r.mustRead(1, b1, payload(1, 1000))
}

// Every flipped bit and every cut of a file is found, or lies in padding.
func TestDamagedFilesAreCorruptNeverWrong(t *testing.T) {
	for _, comp := range []Compression{nil, runs{}} {
		r := newRig(t, 1<<20, func(c *Config, _ *fsys.FS) { c.Compression = comp })
		frames := [][]byte{payload(1, 40), make([]byte, 50), nil, payload(2, 16)}
		write := func() string {
			r.cache(1, b1, block.DiskOnly, frames...)
			return r.files()[0]
		}
		path := write()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r.store.Remove(b1)
		unseen := 0
		for i := range len(whole) * 2 {
			path := write()
			damaged := append([]byte(nil), whole...)
			if i < len(whole) {
				damaged[i] ^= 1 << (i % 8)
			} else {
				damaged = damaged[:i-len(whole)]
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			rd, err := r.store.Open(r.task(1), b1)
			if err == nil {
				err = compare(rd, frames)
				rd.Close()
			}
			switch {
			case err == nil && i < len(whole):
				unseen++ // must be padding, counted below
				r.store.Remove(b1)
			case !errors.Is(err, ErrCorrupt):
				t.Fatalf("damage %d of %d: %v, want ErrCorrupt", i, len(whole), err)
			case !strings.Contains(err.Error(), r.disk.Dir()):
				t.Fatalf("damage %d: %q does not name the file", i, err)
			default:
				r.mustNotFind(1, b1)
			}
		}
		const padding = 8 + 14 + 8 // after 40 bytes, after 50 or the 2 they become, and the end's unused numbers
		if unseen != padding {
			t.Errorf("compression %v: %d damaged bytes went unseen, want the %d that mean nothing", comp, unseen, padding)
		}
	}
}

// A length that no frame has is damage, found before memory is asked for it.
func TestDamagedLengthIsNoWantOfMemory(t *testing.T) {
	r := newRig(t, 1<<20, func(c *Config, _ *fsys.FS) { c.Compression = runs{} })
	frames := make([][]byte, 40)
	for i := range frames {
		frames[i] = make([]byte, 60_000)
	}
	r.cache(1, b1, block.DiskOnly, frames...)
	path := r.files()[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(whole[fileHeader+4:], 39*60_000) // less than the block holds, more than memory does
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	rd, err := r.store.Open(r.task(1), b1)
	if err == nil {
		_, _, err = rd.Next()
		rd.Close()
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want ErrCorrupt", err)
	}
	r.mustNotFind(1, b1)
}

// Every operation on files may fail while blocks are written, evicted and
// read: errors are told, content is never wrong, and nothing is left.
func TestEveryFaultOfABlocksLife(t *testing.T) {
	frames := [][]byte{payload(1, full), payload(2, full), payload(3, 1000)}
	run := func(k int) int {
		faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpMutates | fsys.OpOpen | fsys.OpRead | fsys.OpClose, K: k})
		r := newRig(t, 256*kib, func(_ *Config, fs *fsys.FS) { *fs = faulty })
		allowed := func(err error) {
			t.Helper()
			if err != nil && (k == 0 || !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrBlockNotFound)) {
				t.Errorf("fault %d: %v", k, err)
			}
		}
		for _, step := range []struct {
			id    block.ID
			level block.Level
		}{{b1, block.MemoryAndDisk}, {b2, block.MemoryAndDisk}, {b3, block.DiskOnly}} {
			w, _ := r.store.NewWriter(r.task(1), step.id, step.level)
			for i, f := range frames {
				allowed(w.Frame(i+1, f))
			}
			_, err := w.Commit()
			allowed(err)
		}
		allowed(r.store.PutBytes(block.TaskResult(1), block.MemoryAndDisk, frames[0]))
		for _, id := range []block.ID{b1, b2, b3} {
			rd, err := r.store.Open(r.task(1), id)
			allowed(err)
			if err == nil {
				allowed(compare(rd, frames))
				rd.Close()
			}
		}
		if data, release, err := r.store.GetBytes(block.TaskResult(1)); err == nil {
			if string(data) != string(frames[0]) {
				t.Errorf("fault %d: wrong bytes", k)
			}
			release()
		} else {
			allowed(err)
		}
		return faulty.Counted()
	}
	n := run(0)
	if n < 20 {
		t.Fatalf("only %d operations can fail", n)
	}
	for k := 1; k <= n; k++ {
		run(k)
	}
}

// runs is a compression for tests: runs of zeros become two bytes.
type runs struct{}

func (runs) Name() string { return "runs" }

func (runs) Compress(dst, src []byte) []byte {
	for _, b := range src {
		if b != 0 {
			return dst
		}
	}
	if len(src) < 3 || len(src) > 1<<16-1 {
		return dst
	}
	return append(dst, byte(len(src)), byte(len(src)>>8))
}

func (runs) Decompress(dst, src []byte, rawLen int) ([]byte, error) {
	if len(src) != 2 || int(src[0])|int(src[1])<<8 != rawLen {
		return dst, errors.New("not a run")
	}
	return append(dst, make([]byte, rawLen)...), nil
}

func TestBLK_022_EachKindObeysItsOwnCompression(t *testing.T) {
	zeros := make([]byte, 1000)
	for _, c := range []struct {
		name              string
		cached, broadcast Compression
	}{{"none", nil, nil}, {"cached", runs{}, nil}, {"broadcasts", nil, runs{}}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1<<20, func(cfg *Config, _ *fsys.FS) { cfg.Compression, cfg.BroadcastCompression = c.cached, c.broadcast })
			r.cache(1, b1, block.DiskOnly, zeros)
			for _, id := range []block.ID{block.Broadcast(1), block.TaskResult(1)} {
				if err := r.store.PutBytes(id, block.DiskOnly, zeros); err != nil {
					t.Fatal(err)
				}
			}
			for _, info := range r.store.Blocks() {
				on := info.ID == b1 && c.cached != nil || info.ID == block.Broadcast(1) && c.broadcast != nil
				if on != (info.Disk < 100) || !on && info.Disk < 1000 {
					t.Errorf("%s takes %d bytes on disk", info.ID, info.Disk)
				}
			}
			r.mustRead(1, b1, zeros)
			for _, id := range []block.ID{block.Broadcast(1), block.TaskResult(1)} {
				data, release, err := r.store.GetBytes(id)
				if err != nil || string(data) != string(zeros) {
					t.Fatalf("%s: %v", id, err)
				}
				release()
			}
		})
	}
}
