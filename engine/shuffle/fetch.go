package shuffle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
)

// pin counts who needs an output or a page; the last one lets it go. It
// belongs to one attempt's goroutine.
type pin struct {
	holders int
	release func()
}

func (p *pin) Retain() { p.holders++ }

func (p *pin) Release() {
	if p.holders--; p.holders == 0 {
		p.release()
	}
}

// pagePin is a page of the reader that goes with its last holder.
type pagePin struct {
	pin
	page *memory.Page
}

func (r *Reader) newPage(n int) (*pagePin, error) {
	page, err := r.c.Alloc(n)
	if err != nil {
		return nil, err
	}
	p := &pagePin{page: page}
	p.holders = 1
	p.release = func() {
		r.c.Free(page)
		if r.closed && r.c.Used() == 0 {
			r.c.Close()
		}
	}
	return p, nil
}

// alone reports whether only the reader holds p.
func (p *pagePin) alone() bool { return p != nil && p.holders == 1 }

// unpack decompresses a frame into a page: the last one's, unless somebody
// retained it.
func (r *Reader) unpack(page **pagePin, m *Manager, f spill.Frame, body []byte) ([]byte, error) {
	if !(*page).alone() || len((*page).page.Data) < f.Raw {
		if *page != nil {
			(*page).Release()
			*page = nil
		}
		p, err := r.newPage(f.Raw)
		if err != nil {
			return nil, err
		}
		*page = p
	}
	return m.cfg.Compression.Decompress((*page).page.Data[:0], body, f.Raw)
}

// residentReader reads the frames of an output in memory, in place.
type residentReader struct {
	r      *Reader
	m      *Manager
	o      *resident
	pin    pin
	at, to int // numbers of frames
	raw    *pagePin
}

func newResidentReader(r *Reader, m *Manager, o *output, res *resident) *residentReader {
	b := &residentReader{r: r, m: m, o: res}
	b.pin = pin{holders: 1, release: func() { m.unpin(o) }}
	b.at, _ = res.span(r.from.From)
	_, b.to = res.span(r.from.To - 1)
	return b
}

func (b *residentReader) next() (Frame, int, error) {
	if b.at == b.to {
		return Frame{}, 0, io.EOF
	}
	f, _, body := b.o.frame(b.at)
	b.at++
	if f.Stored == f.Raw {
		return Frame{f.Rows, body, f.Uncombined, &b.pin}, f.Padded(), nil
	}
	data, err := b.r.unpack(&b.raw, b.m, f, body)
	if err != nil {
		return Frame{}, 0, err
	}
	return Frame{f.Rows, data, f.Uncombined, &b.raw.pin}, f.Padded(), nil
}

func (b *residentReader) close() {
	if b.raw != nil {
		b.raw.Release()
	}
	b.pin.Release()
}

// readMax is what a block is read in. Larger reads gain nothing, and an
// attempt must make do with 4 MiB in all.
const readMax = 256 << 10

// fileReader reads the blocks of consecutive reducers from a data file.
type fileReader struct {
	r          *Reader
	m          *Manager
	o          *output
	data       blockFile
	at, end    int64    // of what is not yet in the page
	page       *pagePin // holds bytes [pos, n) still to be taken apart
	pos, n     int
	raw        *pagePin
	blockEnds  []int64 // end of each reducer's block
	block      int     // the reducer's that the next frame is of
	start, off int64   // of the blocks, and of the next frame
}

func (r *Reader) openFiles(m *Manager, o *output) (blockReader, error) {
	index, err := m.openFile(o, fileIndex)
	if err != nil {
		return nil, r.failed(r.from.From, err)
	}
	defer index.Close()
	b := &fileReader{r: r, m: m, o: o}
	for p := r.from.From; p < r.from.To; p++ {
		start, end, err := readIndex(index, index.Size(), o.reducers, p, p+1)
		if err == nil && !r.status().Fits(p, end-start) {
			err = fmt.Errorf("its index says %d bytes, and its status %d: %w", end-start, r.status().Size(p), spill.ErrCorrupt)
		}
		if err != nil {
			return nil, r.failed(p, err)
		}
		if p == r.from.From {
			b.start, b.at, b.off = start, start, start
		}
		b.end = end
		b.blockEnds = append(b.blockEnds, end)
	}
	if b.data, err = m.openFile(o, fileData); err != nil {
		return nil, r.failed(r.from.From, err)
	}
	if b.data.Size() < b.end {
		err := r.failed(r.from.From, fmt.Errorf("its data file has %d bytes, and its index points to byte %d: %w", b.data.Size(), b.end, spill.ErrCorrupt))
		b.data.Close()
		return nil, err
	}
	return b, nil
}

func (b *fileReader) next() (Frame, int, error) {
	if b.off == b.end {
		return Frame{}, 0, io.EOF
	}
	for b.off >= b.blockEnds[b.block] {
		b.block++
	}
	if err := b.have(spill.FrameHeader); err != nil {
		return Frame{}, 0, err
	}
	left := b.page.page.Data[b.pos:b.n]
	f, err := spill.ParseFrame(left)
	if err == nil && b.off+int64(f.Padded()) > b.blockEnds[b.block] {
		err = fmt.Errorf("a frame of %d bytes reaches beyond the block: %w", f.Padded(), spill.ErrCorrupt)
	}
	if err != nil {
		return Frame{}, 0, b.damaged(err)
	}
	if err := b.have(f.Padded()); err != nil {
		return Frame{}, 0, b.tooLong(f, left, err)
	}
	left = b.page.page.Data[b.pos:b.n]
	body := left[spill.FrameHeader : spill.FrameHeader+f.Stored : spill.FrameHeader+f.Stored]
	if err := f.Verify(left, body); err != nil {
		return Frame{}, 0, b.damaged(err)
	}
	data, pin := body, &b.page.pin
	if f.Stored != f.Raw {
		if data, err = b.r.unpack(&b.raw, b.m, f, body); err != nil {
			if errors.Is(err, spill.ErrCorrupt) {
				err = b.damaged(err)
			}
			return Frame{}, 0, err
		}
		pin = &b.raw.pin
	}
	b.pos += f.Padded()
	b.off += int64(f.Padded())
	return Frame{f.Rows, data, f.Uncombined, pin}, f.Padded(), nil
}

// tooLong returns why a frame could not be had. One that memory is refused for
// may be as long as that, or have a damaged length: its checksum tells.
func (b *fileReader) tooLong(f spill.Frame, head []byte, err error) error {
	if errors.Is(err, memory.ErrNoMemory) {
		body := io.NewSectionReader(b.data, b.off+spill.FrameHeader, int64(f.Stored))
		if verr := f.VerifyFrom(head, body); errors.Is(verr, spill.ErrCorrupt) {
			return b.damaged(verr)
		}
	}
	return err
}

// have makes sure that n bytes from pos on are in the page. What is left in
// a page that somebody retained moves to a new one.
func (b *fileReader) have(n int) error {
	kept := b.n - b.pos
	if kept >= n {
		return nil
	}
	if int64(kept)+b.end-b.at < int64(n) {
		return b.damaged(fmt.Errorf("%d bytes are missing at its end: %w", int64(n-kept)-(b.end-b.at), spill.ErrCorrupt))
	}
	want := int(min(int64(kept)+b.end-b.at, readMax))
	want = max(want, n)
	if b.page.alone() && len(b.page.page.Data) >= n {
		copy(b.page.page.Data, b.page.page.Data[b.pos:b.n])
	} else {
		next, err := b.r.newPage(want)
		if err != nil && errors.Is(err, memory.ErrNoMemory) {
			next, err = b.r.newPage(min(want, max(n, spill.FrameTarget)))
		}
		if err != nil {
			return err
		}
		if b.page != nil {
			copy(next.page.Data, b.page.page.Data[b.pos:b.n])
			b.page.Release()
		}
		b.page = next
	}
	b.pos, b.n = 0, kept
	buf := b.page.page.Data[kept:]
	buf = buf[:min(int64(len(buf)), b.end-b.at)]
	k, err := b.data.ReadAt(buf, b.at)
	b.n += k
	b.at += int64(k)
	if k < len(buf) {
		return b.damaged(fmt.Errorf("its data file cannot be read at byte %d: %w", b.at, err))
	}
	return nil
}

// damaged makes a failure and says, where that can be told, that the file is
// not what was written.
func (b *fileReader) damaged(cause error) error {
	p := b.r.from.From + b.block
	return b.r.failed(p, fmt.Errorf("%s, byte %d: %w (%s)", b.data.Path(), b.off, cause, b.diagnose(p)))
}

// diagnose sums up the block of the next frame, reducer p's, once more and
// compares it with what the checksum file says.
func (b *fileReader) diagnose(p int) string {
	const unknown = "the cause cannot be told"
	sums, err := b.m.openFile(b.o, fileSums)
	if err != nil {
		return unknown
	}
	defer sums.Close()
	var want [8]byte
	if _, err := sums.ReadAt(want[:], int64(8*p)); err != nil {
		return unknown
	}
	start := b.start
	if b.block > 0 {
		start = b.blockEnds[b.block-1]
	}
	block := io.NewSectionReader(b.data, start, b.blockEnds[b.block]-start)
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, block); err != nil {
		return "the disk cannot read it"
	}
	if uint64(h.Sum32()) != binary.BigEndian.Uint64(want[:]) {
		return "the file on disk is not what was written"
	}
	return "the file on disk is what was written"
}

func (b *fileReader) close() {
	if b.page != nil {
		b.page.Release()
	}
	if b.raw != nil {
		b.raw.Release()
	}
	_ = b.data.Close() // it was only read
}
