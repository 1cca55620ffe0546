package shuffle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/storage"
)

// writeSize is what data files are written in.
const writeSize = 256 << 10

// checksumSuffix names the algorithm of the checksum file, as Spark does.
const checksumSuffix = ".checksum.CRC32C"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The files of an output, by their number in files.
const (
	fileData = iota
	fileIndex
	fileSums
)

// files returns the names of an output's files.
func (o outputID) files() [3]string {
	return [3]string{
		string(block.ShuffleData(o.shuffle, o.m)),
		string(block.ShuffleIndex(o.shuffle, o.m)),
		string(block.Shuffle(o.shuffle, o.m, 0)) + checksumSuffix,
	}
}

// writeOut writes a map output to its three files and commits them: of each
// reducer first what was spilled, then what is resident; both may be nil. It returns the bytes of each reducer's block. After an
// error none of the files is there.
//
//	data      blocks of reducers 0 … P−1, one after another; no file if all are empty
//	index     P+1 offsets into data, big-endian int64, the first 0, the last data's length
//	checksum  P CRC-32C of the blocks, big-endian int64
func (m *Manager) writeOut(o outputID, reducers int, r *resident, spilled *spills, buf []byte) (sizes []int64, err error) {
	w := fileWriter{disk: m.cfg.Disk, buf: buf}
	defer w.close()
	sizes = make([]int64, reducers)
	index := make([]byte, 8*(reducers+1))
	sums := make([]byte, 8*reducers)
	for p := range reducers {
		start := w.total
		w.sum = 0
		if spilled != nil {
			if err := spilled.copyTo(p, w.put); err != nil {
				return nil, err
			}
		}
		if r != nil {
			from, to := r.span(p)
			for i := from; i < to; i++ {
				if err := w.frame(r.frame(i)); err != nil {
					return nil, err
				}
			}
		}
		sizes[p] = w.total - start
		binary.BigEndian.PutUint64(index[8*(p+1):], uint64(w.total))
		binary.BigEndian.PutUint64(sums[8*p:], uint64(w.sum))
	}
	names := o.files()
	if err := w.commit(names[fileData]); err != nil {
		return nil, err
	}
	err = m.writeSmall(names[fileIndex], index)
	if err == nil {
		err = m.writeSmall(names[fileSums], sums)
	}
	if err != nil {
		for _, n := range names {
			m.cfg.Disk.Remove(n)
		}
		return nil, err
	}
	return sizes, nil
}

func (m *Manager) writeSmall(name string, data []byte) error {
	f, err := m.cfg.Disk.TempFile("temp_shuffle")
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Commit(name)
}

// fileWriter writes a data file in large pieces and sums up the block being
// written.
type fileWriter struct {
	disk  *storage.Disk
	file  *storage.File // nil until there is something to write
	buf   []byte
	n     int
	total int64
	sum   uint32
}

// frame writes a resident frame with its checksum filled in.
func (w *fileWriter) frame(f spill.Frame, _, body []byte) error {
	var head [spill.FrameHeader]byte
	spill.PutFrame(head[:], f, body)
	if err := w.put(head[:]); err != nil {
		return err
	}
	if err := w.put(body); err != nil {
		return err
	}
	return w.put(zeros[:f.Padded()-spill.FrameHeader-len(body)])
}

var zeros [8]byte

func (w *fileWriter) put(b []byte) error {
	w.sum = crc32.Update(w.sum, castagnoli, b)
	w.total += int64(len(b))
	for len(b) > 0 {
		k := copy(w.buf[w.n:], b)
		w.n += k
		b = b[k:]
		if w.n == len(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *fileWriter) flush() (err error) {
	if w.n == 0 {
		return nil
	}
	if w.file == nil {
		if w.file, err = w.disk.TempFile("temp_shuffle"); err != nil {
			return err
		}
	}
	_, err = w.file.Write(w.buf[:w.n])
	w.n = 0
	return err
}

// commit gives the file its name; an empty output has no data file.
func (w *fileWriter) commit(name string) error {
	if err := w.flush(); err != nil || w.file == nil {
		return err
	}
	f := w.file
	w.file = nil
	return f.Commit(name)
}

func (w *fileWriter) close() {
	if w.file != nil {
		_ = w.file.Close() // the error that led here is the one that matters
	}
}

// readIndex reads one block's place from an index of reducers+1 offsets.
func readIndex(f readerAt, size int64, reducers, from, to int) (start, end int64, err error) {
	if size != int64(8*(reducers+1)) {
		return 0, 0, fmt.Errorf("its index has %d bytes, not %d: %w", size, 8*(reducers+1), spill.ErrCorrupt)
	}
	var b [8]byte
	offset := func(i int) (v int64) {
		if err == nil {
			_, err = f.ReadAt(b[:], int64(8*i))
		}
		return int64(binary.BigEndian.Uint64(b[:]))
	}
	start, end = offset(from), offset(to)
	if err != nil {
		return 0, 0, fmt.Errorf("its index cannot be read: %w", err)
	}
	if start < 0 || end < start {
		return 0, 0, fmt.Errorf("its index says bytes %d to %d: %w", start, end, spill.ErrCorrupt)
	}
	return start, end, nil
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}
