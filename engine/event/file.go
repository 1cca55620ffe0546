package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// The event file: a header, then checksummed blocks of events, appended whole
// and in order, so that a crash can only cut the last. Every byte of it is in
// engine/docs/format/events.md.
const (
	fileMagic     = "execbnEV"
	fileHeader    = 16
	blockMagic    = "EVBK"
	blockHeader   = 24
	formatVersion = 1
)

// File is a Sink that writes the event file. Emit encodes into a block in
// memory; one goroutine, which Close joins, writes blocks out. Nothing is
// ever dropped: when the disk is behind by all of its buffers, Emit waits.
// A block is also handed over at the end of every job, phase and session,
// and when its first event is a quarter of a second older than its last.
//
// All methods may be called from several goroutines.
type File struct {
	pump
	codec  codec
	name   string
	events uint32 // in the current block
	number uint32 // of the current block
	first  int64  // time of the current block's first event
}

var _ Sink = (*File)(nil)

// Create makes the file at path, replacing one of that name. The caller
// closes it.
func Create(path string) (*File, error) {
	out, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("cannot make event file %s: %w", path, fsys.Cause(err))
	}
	return NewFile(out, path)
}

// NewFile writes an event file to out, which Close closes. Errors name it by
// name. It fails, closing out, when the file's header cannot be written.
func NewFile(out io.WriteCloser, name string) (*File, error) {
	var head [fileHeader]byte
	copy(head[:], fileMagic)
	binary.LittleEndian.PutUint16(head[8:], formatVersion)
	if _, err := out.Write(head[:]); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write event file %s: %w", name, fsys.Cause(err)), out.Close())
	}
	f := &File{name: name}
	f.pump.start(out)
	return f, nil
}

// Emit encodes e into the current block. It keeps nothing of e. It waits only
// while every buffer is full. After a failure, which Err and Close report,
// events are discarded: there is nowhere to put them.
func (f *File) Emit(e Event) {
	v, ok := e.(form)
	if !ok {
		panic(fmt.Sprintf("BUG: event of unknown type %T", e))
	}
	f.Lock()
	defer f.Unlock()
	if !f.openLocked() {
		return
	}
	c := &f.codec
	c.buf = f.cur
	if len(c.buf) == 0 {
		c.buf = append(c.buf, make([]byte, blockHeader)...)
	}
	at := len(c.buf)
	c.buf = append(c.buf, 0, v.kind())
	v.fields(c)
	c.buf = closeEvent(c.buf, at)
	f.grewLocked(c.buf)
	c.buf = nil
	if f.events == 0 {
		f.first = c.last
	}
	f.events++
	if len(f.cur) >= blockBytes || c.last-f.first > flushAfter || urgent(v.kind()) {
		f.sealLocked()
	}
}

// closeEvent writes the length of the event that begins at buf[at], where one
// byte was left for it.
func closeEvent(buf []byte, at int) []byte {
	n := len(buf) - at - 1
	if n < 0x80 {
		buf[at] = byte(n)
		return buf
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	buf = append(buf, length[:k-1]...) // make room for the bytes beyond the first
	copy(buf[at+k:], buf[at+1:at+1+n])
	copy(buf[at:], length[:k])
	return buf
}

// urgent reports whether an event of the kind goes to the file at once: the
// rare ones that a reader of a cut file would miss most.
func urgent(kind uint8) bool {
	switch kind {
	case kindApplicationStart, kindJobEnd, kindPhase, kindApplicationEnd:
		return true
	}
	return false
}

// sealLocked completes the current block's header and hands the block over.
func (f *File) sealLocked() {
	if f.cur == nil || f.events == 0 {
		return
	}
	head := f.cur[:blockHeader]
	copy(head, blockMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(f.cur)-blockHeader))
	binary.LittleEndian.PutUint32(head[8:], f.events)
	binary.LittleEndian.PutUint32(head[12:], f.number)
	binary.LittleEndian.PutUint64(head[16:], checksum(head, f.cur[blockHeader:]))
	f.number++
	f.events = 0
	f.passLocked()
}

func checksum(head, payload []byte) uint64 {
	return xxh3.HashSeed(payload, xxh3.Hash(head[:16]))
}

// BufferBytes returns the bytes that the file holds in memory now: its
// buffers and its string table. They stay below about 600 KiB plus the size
// of the largest event, which the engine reserves under the name "events".
func (f *File) BufferBytes() int64 {
	f.Lock()
	defer f.Unlock()
	n := f.held
	for s := range f.codec.refs {
		n += int64(len(s)) + 48 // string, reference, and their share of the map
	}
	return n
}

// Flush writes out every event emitted before it and waits until they are in
// the file. It does not wait for the device.
func (f *File) Flush() error {
	f.Lock()
	defer f.Unlock()
	f.sealLocked()
	return f.named(f.drainLocked())
}

// Err returns the first failure, nil when there was none.
func (f *File) Err() error {
	f.Lock()
	defer f.Unlock()
	return f.named(f.err)
}

// Close writes what is left, joins the writer and closes the file. It returns
// the first failure of the file's life. Closing twice is harmless.
func (f *File) Close() error {
	f.Lock()
	if f.closed {
		defer f.Unlock()
		return f.named(f.err)
	}
	f.sealLocked()
	f.closed = true
	f.Unlock()
	return f.named(f.pump.close())
}

func (f *File) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write event file %s: %w", f.name, fsys.Cause(err))
}
