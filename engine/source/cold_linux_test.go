package source

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// advisedFS tells the kernel, at opening and ahead of each read, what is to
// be read next.
type advisedFS struct {
	fsys.FS
	sequential bool
	ahead      int64 // bytes to be read soon; 0: not told
}

type advisedFile struct {
	fsys.File
	ahead int64
}

func advise(f fsys.File, offset, length int64, advice int) {
	// Refused advice would only make the figures equal.
	_ = unix.Fadvise(int(f.(*os.File).Fd()), offset, length, advice)
}

func (f advisedFS) Open(name string) (fsys.File, error) {
	file, err := f.FS.Open(name)
	if err == nil && f.sequential {
		advise(file, 0, 0, unix.FADV_SEQUENTIAL)
	}
	return advisedFile{file, f.ahead}, err
}

func (f advisedFile) ReadAt(p []byte, off int64) (int, error) {
	if f.ahead > 0 {
		advise(f.File, off+int64(len(p)), f.ahead, unix.FADV_WILLNEED)
	}
	return f.File.ReadAt(p, off)
}

// BenchmarkColdRead reads a file that is not in the cache, with each way to
// have the kernel read ahead (engine/docs/decisions/input-reading.md).
func BenchmarkColdRead(b *testing.B) {
	const size = 256 << 20
	path := b.TempDir() + "/cold"
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * i)
	}
	for range size / len(block) {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	for _, readers := range []int{1, 2} {
		splits := cut(b, list(b, path), CutOptions{Parts: readers})
		for _, c := range []struct {
			name string
			fs   fsys.FS
		}{
			{"none", fsys.OS},
			{"sequential", advisedFS{fsys.OS, true, 0}},
			{"willneed-256KiB", advisedFS{fsys.OS, false, 256 << 10}},
			{"willneed-1MiB", advisedFS{fsys.OS, false, 1 << 20}},
		} {
			b.Run(fmt.Sprintf("readers=%d/advice=%s", readers, c.name), func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					b.StopTimer()
					advise(f, 0, 0, unix.FADV_DONTNEED)
					b.StartTimer()
					var wg sync.WaitGroup
					for i := range splits {
						wg.Go(func() {
							r := Reader{FS: c.fs}
							sum := 0
							err := r.Records(&splits[i], 64, func(block []byte, _ int64) error {
								for i := 0; i < len(block); i += 64 { // some work, so that reading ahead can pay
									sum += int(block[i])
								}
								return nil
							})
							if err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
			})
		}
	}
}
