package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/execbench/execbench/engine/memory"
)

// A frame is one encoded batch, or one piece of a block of bytes. In memory
// and in files it has the same form:
//
//	┌────────┬──────┬──────┬────────┬───────────────────┬─────────┐
//	│ stored │ raw  │ rows │ crc    │ payload           │ padding │
//	│ uint32 │ u32  │ u32  │ uint32 │ stored bytes      │ to 16   │
//	└────────┴──────┴──────┴────────┴───────────────────┴─────────┘
//
// Numbers are little-endian. stored < raw means that the payload is
// compressed. The CRC-32C is over the three numbers before it and the
// payload; it is set when a frame is written to a file. A block's file is
//
//	magic (8 bytes) · codec's name (8 bytes, zero-padded) · frames · end
//
// where end is a frame header with stored = 2³²−1 and raw = the number of
// frames modulo 2³².
const (
	headerSize  = 16
	alignment   = 16
	fileHeader  = 16
	fileMagic   = "XBBLOCK\x01"
	endOfFrames = math.MaxUint32
	frameMax    = math.MaxInt32 // bytes of a payload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Compression turns frames into fewer bytes. Those of package codec are of
// this kind.
type Compression interface {
	// Name is at most eight bytes long; it is kept in the file.
	Name() string
	// Compress appends the compressed form of src to dst, or nothing where
	// that is not shorter than src.
	Compress(dst, src []byte) []byte
	// Decompress appends the rawLen bytes that src was made from to dst.
	Decompress(dst, src []byte, rawLen int) ([]byte, error)
}

// align rounds up to where the next frame may begin.
func align(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// frameSize returns the bytes that a payload of n takes with its header.
func frameSize(n int) int { return headerSize + align(n) }

type header struct{ stored, raw, rows, crc uint32 }

func (h header) put(b []byte) {
	binary.LittleEndian.PutUint32(b, h.stored)
	binary.LittleEndian.PutUint32(b[4:], h.raw)
	binary.LittleEndian.PutUint32(b[8:], h.rows)
	binary.LittleEndian.PutUint32(b[12:], h.crc)
}

func getHeader(b []byte) header {
	return header{
		stored: binary.LittleEndian.Uint32(b),
		raw:    binary.LittleEndian.Uint32(b[4:]),
		rows:   binary.LittleEndian.Uint32(b[8:]),
		crc:    binary.LittleEndian.Uint32(b[12:]),
	}
}

// sum computes the frame's checksum.
func (h header) sum(payload []byte) uint32 {
	var b [headerSize]byte
	h.put(b[:])
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, payload)
}

// frames is a sequence of frames in pages; no frame crosses a page.
type frames struct {
	pages []*memory.Page
	used  []int // bytes of each page, a multiple of the alignment
	size  int64 // bytes of all pages
	count int
}

// room reports whether a payload of n bytes fits into the last page.
func (f *frames) room(n int) bool {
	last := len(f.pages) - 1
	return last >= 0 && len(f.pages[last].Data)-f.used[last] >= frameSize(n)
}

// grow adds a page.
func (f *frames) grow(p *memory.Page) {
	f.pages = append(f.pages, p)
	f.used = append(f.used, 0)
	f.size += p.Size()
}

// add copies a payload into the last page, which has room for it.
func (f *frames) add(rows int, payload []byte) {
	last := len(f.pages) - 1
	at := f.pages[last].Data[f.used[last]:]
	n := len(payload)
	header{stored: uint32(n), raw: uint32(n), rows: uint32(rows)}.put(at)
	copy(at[headerSize:], payload)
	clear(at[headerSize+n : frameSize(n)])
	f.used[last] += frameSize(n)
	f.count++
}

// seal sets the checksums of page i's frames and returns its bytes.
func (f *frames) seal(i int) []byte {
	b := f.pages[i].Data[:f.used[i]]
	for at := 0; at < len(b); {
		h := getHeader(b[at:])
		h.crc = h.sum(b[at+headerSize : at+headerSize+int(h.stored)])
		h.put(b[at:])
		at += frameSize(int(h.stored))
	}
	return b
}

// cursor walks over frames in memory.
type cursor struct{ page, at int }

// next returns the frame under the cursor, a view, and moves on.
func (f *frames) next(c *cursor) (rows int, payload []byte, ok bool) {
	for c.page < len(f.pages) && c.at == f.used[c.page] {
		c.page, c.at = c.page+1, 0
	}
	if c.page == len(f.pages) {
		return 0, nil, false
	}
	b := f.pages[c.page].Data[c.at:f.used[c.page]]
	h := getHeader(b)
	c.at += frameSize(int(h.stored))
	return int(h.rows), b[headerSize : headerSize+int(h.stored) : headerSize+int(h.stored)], true
}

// frameWriter writes a block's file.
type frameWriter struct {
	f       *File
	comp    Compression // nil: none
	scratch *memory.Holder
	out     *memory.Page // gathers small writes; nil: no memory for it
	packed  *memory.Page // takes compressed payloads
	n       int          // bytes in out
	count   uint32
}

const outSize = 256 << 10 // large enough that a write costs more than its call

func newFrameWriter(d *Disk, scratch *memory.Holder, comp Compression) (*frameWriter, error) {
	f, err := d.TempFile("temp_local")
	if err != nil {
		return nil, err
	}
	w := &frameWriter{f: f, comp: comp, scratch: scratch}
	w.out, _ = scratch.Alloc(outSize) // without it frames are written one by one
	var b [fileHeader]byte
	copy(b[:], fileMagic)
	if comp != nil {
		copy(b[8:], comp.Name())
	}
	if err := w.write(b[:]); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// frame writes one payload, compressed if that makes it shorter and there is
// memory to do it in.
func (w *frameWriter) frame(rows int, payload []byte) error {
	if len(payload) > frameMax || rows > math.MaxInt32 {
		return fmt.Errorf("cannot write a frame of %d bytes and %d rows: a frame has at most %d of each", len(payload), rows, frameMax)
	}
	h := header{raw: uint32(len(payload)), rows: uint32(rows)}
	if w.comp != nil && w.pack(compressBound(len(payload))) {
		if c := w.comp.Compress(w.packed.Data[:0], payload); len(c) > 0 && len(c) < len(payload) {
			payload = c
		}
	}
	h.stored = uint32(len(payload))
	h.crc = h.sum(payload)
	var b [headerSize]byte
	h.put(b[:])
	w.count++
	if err := w.write(b[:]); err != nil {
		return err
	}
	if err := w.write(payload); err != nil {
		return err
	}
	clear(b[:])
	return w.write(b[:align(len(payload))-len(payload)])
}

// compressBound is no less than what either compression makes of n bytes.
func compressBound(n int) int { return n + n/128 + 1024 }

// pack makes sure of a page of n bytes to compress into.
func (w *frameWriter) pack(n int) bool {
	if w.packed != nil && len(w.packed.Data) >= n {
		return true
	}
	p, err := w.scratch.Alloc(n)
	if err != nil {
		return false
	}
	if w.packed != nil {
		w.scratch.Free(w.packed)
	}
	w.packed = p
	return true
}

// frames writes all of fs: page by page as they are, or each compressed.
func (w *frameWriter) frames(fs *frames) error {
	if w.comp == nil {
		for i := range fs.pages {
			if err := w.write(fs.seal(i)); err != nil {
				return err
			}
		}
		w.count += uint32(fs.count)
		return nil
	}
	var c cursor
	for {
		rows, payload, ok := fs.next(&c)
		if !ok {
			return nil
		}
		if err := w.frame(rows, payload); err != nil {
			return err
		}
	}
}

// pieceSize is what a block of bytes is cut into in its file.
const pieceSize = 1 << 20

// bytes writes a block of bytes.
func (w *frameWriter) bytes(data []byte) error {
	for len(data) > 0 {
		n := min(len(data), pieceSize)
		if err := w.frame(0, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// write gathers small pieces and passes large ones on.
func (w *frameWriter) write(b []byte) error {
	if w.out == nil {
		_, err := w.f.Write(b)
		return err
	}
	if w.n+len(b) > len(w.out.Data) {
		if err := w.flush(); err != nil {
			return err
		}
		if len(b) >= len(w.out.Data) {
			_, err := w.f.Write(b)
			return err
		}
	}
	w.n += copy(w.out.Data[w.n:], b)
	return nil
}

func (w *frameWriter) flush() error {
	_, err := w.f.Write(w.out.Data[:w.n])
	w.n = 0
	return err
}

// commit ends the file and gives it its name. The writer is done, also after
// an error.
func (w *frameWriter) commit(name string) (size int64, err error) {
	defer w.close()
	var b [headerSize]byte
	header{stored: endOfFrames, raw: w.count}.put(b[:])
	if err := w.write(b[:]); err != nil {
		return 0, err
	}
	if w.out != nil {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if err := w.f.Commit(name); err != nil {
		return 0, err
	}
	return w.f.Size(), nil
}

// close frees the writer's pages, and its file if it was not committed.
func (w *frameWriter) close() {
	if w.out != nil {
		w.scratch.Free(w.out)
		w.out = nil
	}
	if w.packed != nil {
		w.scratch.Free(w.packed)
		w.packed = nil
	}
	_ = w.f.Close() // a temporary file, whose content nobody wants
}

// frameFile reads a block's file.
type frameFile struct {
	f       *File
	comp    Compression
	longest int64 // payload bytes of the longest frame
	off     int64 // of the next frame
}

// openFrames opens a block's file and checks its head.
func openFrames(d *Disk, c *content, comp Compression) (*frameFile, error) {
	f, err := d.Open(c.file)
	if err != nil {
		return nil, err
	}
	r := &frameFile{f: f, comp: comp, longest: c.longest}
	var b, want [fileHeader]byte
	copy(want[:], fileMagic)
	if comp != nil {
		copy(want[8:], comp.Name())
	}
	if err := r.read(b[:], 0); err != nil {
		f.Close()
		return nil, err
	}
	if b != want {
		f.Close()
		return nil, r.corrupt("its head is not that of a block file with this compression")
	}
	r.off = fileHeader
	return r, nil
}

func (r *frameFile) corrupt(format string, args ...any) error {
	return &CorruptError{Path: r.f.path, Offset: r.off, What: fmt.Sprintf(format, args...)}
}

// read fills b from off; a file too short is corrupt.
func (r *frameFile) read(b []byte, off int64) error {
	n, err := r.f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if isEOF(err) {
		return r.corrupt("it ends after %d of %d bytes", n, len(b))
	}
	return fmt.Errorf("cannot read %d bytes of %s at %d: %w", len(b), r.f.path, off, err)
}

// header reads the header of the next frame and checks its numbers.
func (r *frameFile) header() (h header, err error) {
	var b [headerSize]byte
	if err := r.read(b[:], r.off); err != nil {
		return h, err
	}
	h = getHeader(b[:])
	switch { // before anything is allocated by these numbers
	case h.stored > h.raw || h.stored < h.raw && r.comp == nil:
		return h, r.corrupt("a frame of %d bytes is stored in %d", h.raw, h.stored)
	case int64(h.stored) > r.f.size-r.off-headerSize || int64(h.raw) > r.longest:
		return h, r.corrupt("a frame of %d bytes, %d stored, does not fit into a file of %d whose longest has %d", h.raw, h.stored, r.f.size, r.longest)
	}
	return h, nil
}

// end checks that the frames, which were count, end here.
func (r *frameFile) end(count int) error {
	var b [headerSize]byte
	if err := r.read(b[:], r.off); err != nil {
		return err
	}
	if h := getHeader(b[:]); h.stored != endOfFrames || h.raw != uint32(count) {
		return r.corrupt("it does not end after %d frames", count)
	}
	return nil
}

// payload reads h's payload into raw, which is h.raw bytes long, and moves
// on. packed gives it room for compressed bytes.
func (r *frameFile) payload(h header, raw []byte, packed func(n int) ([]byte, error)) error {
	dst := raw
	compressed := h.stored < h.raw
	if compressed {
		var err error
		if dst, err = packed(int(h.stored)); err != nil {
			return err
		}
	}
	if err := r.read(dst, r.off+headerSize); err != nil {
		return err
	}
	if sum := h.sum(dst); sum != h.crc {
		return r.corrupt("a frame's checksum is %08x, written was %08x", sum, h.crc)
	}
	if compressed {
		out, err := r.comp.Decompress(raw[:0], dst, int(h.raw))
		if err != nil || len(out) != int(h.raw) {
			return r.corrupt("a frame cannot be decompressed: %d bytes of %d, %v", len(out), h.raw, err)
		}
		if len(out) > 0 && &out[0] != &raw[0] {
			copy(raw, out)
		}
	}
	r.off += int64(frameSize(int(h.stored)))
	return nil
}
