package source

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
)

// aligned returns n bytes at an address that a device takes.
func aligned(n int) []byte {
	b := make([]byte, n+fsys.DirectAlign)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (fsys.DirectAlign - 1)
	return b[skip : skip+n]
}

// After two blocks each way the faster one is used, and the slower one tried
// so rarely that it costs a hundredth, until it is the faster one.
func TestWaysUseTheFaster(t *testing.T) {
	for name, pace := range map[string][2]int64{"cache": {1, 5}, "device": {7, 2}} {
		t.Run(name, func(t *testing.T) {
			var w Ways
			step := func() way {
				by := w.next()
				w.took(by, 1000, 1000*pace[by])
				return by
			}
			faster, slower := throughCache, pastCache
			if pace[slower] < pace[faster] {
				faster, slower = slower, faster
			}
			for i, want := range []way{throughCache, throughCache, pastCache, pastCache, faster, faster} {
				if by := step(); by != want {
					t.Fatalf("block %d goes way %d, want %d", i, by, want)
				}
			}
			count := [2]int64{}
			for range 10_000 {
				count[step()]++
			}
			lost := float64(count[slower]*(pace[slower]-pace[faster])) / float64(10_000*pace[faster])
			if count[slower] == 0 || lost > 1.5/trialShare {
				t.Errorf("%v blocks each way, %.3f of the time lost", count, lost)
			}
			pace[faster] = 100 * pace[slower] // what was fast is slow from now on
			count = [2]int64{}
			for range 100 {
				count[step()]++
			}
			if count[faster] > 10 {
				t.Errorf("%v blocks each way after the fast way became slow", count)
			}
		})
	}
}

// A block that had to wait a thousand times as long, a first one or a trial,
// does not end the trials of its way.
func TestWaysForgetAnOutlier(t *testing.T) {
	for _, at := range []int{2, 3, 404} { // the third and fourth block go past the cache, as does the first trial
		var w Ways
		trials := 0
		for i := range 6000 {
			by := w.next()
			ns := int64(1000 * (1 + 4*by))
			if i == at {
				if by != pastCache {
					t.Fatalf("block %d goes way %d", i, by)
				}
				ns *= 1000
			}
			if w.took(by, 1000, ns); by == pastCache && i > at+1 {
				trials++
			}
		}
		if trials < 5 {
			t.Errorf("block %d took long: %d trials after it", at, trials)
		}
	}
}

func TestWaysThatAreGiven(t *testing.T) {
	w := AlwaysPast()
	for range 300 {
		if by := w.next(); by != pastCache {
			t.Fatalf("a block goes way %d", by)
		}
		w.took(pastCache, 1, 1000)
	}
	if past, all := (*Ways)(nil).Past(); past != 0 || all != 0 {
		t.Error("no Ways tell of bytes")
	}
}

// tray is a file system that notes how its files are written.
type tray struct {
	fsys.FS
	refuse  error // of SetDirect
	short   bool  // a direct write stops at an odd place once, and says EINVAL of the rest
	asksFor int64 // alignment of direct writes
	direct  int64 // bytes written directly
	through int64
}

type trayFile struct {
	fsys.File
	t  *tray
	on bool
	at int64
}

func (d *tray) Create(name string) (fsys.File, error) {
	f, err := d.FS.Create(name)
	return &trayFile{File: f, t: d}, err
}

func (f *trayFile) SetDirect(on bool) error {
	if f.t.refuse != nil {
		return f.t.refuse
	}
	f.on = on
	return nil
}

func (f *trayFile) Write(p []byte) (int, error) {
	if align := f.t.asksFor; f.on && (f.at%align != 0 || int64(len(p))%align != 0 || int64(uintptr(unsafe.Pointer(&p[0])))%align != 0) {
		return 0, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.EINVAL}
	}
	if f.on && f.t.short {
		f.t.short = false
		n, _ := f.File.Write(p[:777])
		f.at += int64(n)
		f.t.direct += int64(n)
		return n, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.EINVAL}
	}
	n, err := f.File.Write(p)
	f.at += int64(n)
	if f.on {
		f.t.direct += int64(n)
	} else {
		f.t.through += int64(n)
	}
	return n, err
}

// A file has the bytes that were written whatever way its blocks went: past
// the cache its full blocks and nothing else, and through it everything where
// the system refuses, at once or at the first write.
func TestPartWriterWays(t *testing.T) {
	const buffer = 256 << 10
	data := make([]byte, 5*buffer+12_345)
	rng := newRand(1)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for name, c := range map[string]struct {
		disk   tray
		direct int64
		told   int64 // bytes that Ways tell of
	}{
		"past":             {tray{asksFor: fsys.DirectAlign}, 5 * buffer, 5 * buffer},
		"refused":          {tray{refuse: errors.ErrUnsupported}, 0, buffer},
		"other alignments": {tray{asksFor: 1 << 40}, 0, 0},
		"short":            {tray{asksFor: fsys.DirectAlign, short: true}, 777, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pieces := range []int{1000, 4096, 3 * buffer} {
				dir := t.TempDir()
				d := c.disk
				d.FS = fsys.OS
				o, err := CreateOutput(&d, filepath.Join(dir, "out"))
				if err != nil {
					t.Fatal(err)
				}
				w, err := o.Part(0, 7, aligned(buffer))
				if err != nil {
					t.Fatal(err)
				}
				w.Ways = AlwaysPast()
				for rest := data; len(rest) > 0; rest = rest[min(len(rest), pieces):] {
					if _, err := w.Write(rest[:min(len(rest), pieces)]); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(w.Close(), w.Commit()); err != nil {
					t.Fatal(err)
				}
				if _, err := o.Commit([]id.Task{7}); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(filepath.Join(dir, "out", PartName(0)))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("pieces of %d: the file has %d bytes, %v; not those that were written", pieces, len(got), err)
				}
				if d.direct != c.direct || d.through != int64(len(data))-c.direct {
					t.Errorf("pieces of %d: %d bytes past the cache and %d through it, want %d past", pieces, d.direct, d.through, c.direct)
				}
				past, all := w.Ways.Past()
				if all != c.told || past != min(c.direct, c.told) {
					t.Errorf("pieces of %d: tells of %d bytes past the cache, of %d", pieces, past, all)
				}
			}
		})
	}
}

// The same on the real file system, by whatever way it allows, with rows that
// are appended in place.
func TestPartWriterPastTheCache(t *testing.T) {
	const buffer = 256 << 10
	dir := filepath.Join(t.TempDir(), "out")
	o, err := CreateOutput(fsys.OS, dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := o.Part(0, 7, aligned(buffer))
	if err != nil {
		t.Fatal(err)
	}
	w.Ways = new(Ways)
	var want []byte
	for i := 0; len(want) < 10*buffer; i++ {
		dst, err := w.Available()
		if err != nil {
			t.Fatal(err)
		}
		row := bytes.Repeat([]byte{byte(i)}, i%5000)
		want = append(want, row...)
		if _, err := w.Write(append(dst, row...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), w.Commit()); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Commit([]id.Task{7}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, PartName(0))); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has %d bytes, %v; want the %d that were written", len(got), err, len(want))
	}
}
