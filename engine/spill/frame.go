package spill

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/execbench/execbench/engine/codec"
)

// A frame is one encoded batch with what is needed to read it back:
//
//	rows u32 │ uncombined bit, raw length u31 │ stored length u32 │ crc32c u32 │ stored bytes │ 0…7 zeros
//
// Numbers are little-endian. The checksum covers the first twelve bytes and
// the stored bytes. Stored and raw length are equal exactly when the bytes
// are not compressed. Frames are padded to eight bytes, so that rows of plain
// types stand where the machine wants them and are read in place.
const (
	// FrameHeader is the length of a frame's header.
	FrameHeader = 16
	// FrameTarget is the stored length at which writers end a frame: large
	// enough that its header and its checksum's start cost nothing a row,
	// small enough that a merge of sixty runs fits 4 MiB, and that a frame
	// being read stays in a core's second-level cache.
	FrameTarget = 64 << 10
	// MaxFrame bounds the raw length of a frame: a longer one is damage.
	MaxFrame = 1<<31 - 1
)

// ErrCorrupt is the cause of every error about bytes that are not what was
// written.
var ErrCorrupt = codec.ErrCorrupt

// castagnoli has hardware support: about 6 GB/s a core.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is a frame's header, decoded.
type Frame struct {
	Rows   int
	Raw    int // bytes of the encoded batch
	Stored int // bytes in the frame
	// Uncombined says that the rows are a map task's values as they came, in a
	// shuffle of partial results.
	Uncombined bool
	sum        uint32
}

// Padded returns the bytes from the frame's header to the next frame.
func (f Frame) Padded() int { return FrameHeader + (f.Stored+7)&^7 }

// uncombined is the bit of the raw length that marks a frame.
const uncombined = 1 << 31

// PutFrame writes the header of a frame whose stored bytes are body into
// head, which must be FrameHeader long, checksum included.
func PutFrame(head []byte, f Frame, body []byte) {
	f.Stored = len(body)
	PutFrameHead(head, f)
	binary.LittleEndian.PutUint32(head[12:], frameSum(head, body))
}

func frameSum(head, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, body)
}

// ParseFrame reads a frame's header. The error wraps [ErrCorrupt]; the
// checksum is left to [Frame.Verify].
func ParseFrame(head []byte) (Frame, error) {
	if len(head) < FrameHeader {
		return Frame{}, fmt.Errorf("cannot read the header of a frame in %d bytes: %w", len(head), ErrCorrupt)
	}
	raw, stored := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	marked := raw&uncombined != 0
	raw &^= uncombined
	if stored > raw {
		return Frame{}, fmt.Errorf("cannot read a frame of %d bytes stored as %d: %w", raw, stored, ErrCorrupt)
	}
	return Frame{
		Rows: int(binary.LittleEndian.Uint32(head)), Raw: int(raw), Stored: int(stored),
		Uncombined: marked, sum: binary.LittleEndian.Uint32(head[12:]),
	}, nil
}

// Verify checks the frame's checksum. head and body are as they were read.
func (f Frame) Verify(head, body []byte) error { return f.sumIs(frameSum(head, body)) }

// VerifyFrom is Verify for a frame that may be too long to be held: it reads
// the stored bytes from body, and its error may be that of body.
func (f Frame) VerifyFrom(head []byte, body io.Reader) error {
	sum := crc32.New(castagnoli)
	_, _ = sum.Write(head[:12]) // a hash takes all
	if _, err := io.CopyN(sum, body, int64(f.Stored)); err != nil {
		return err
	}
	return f.sumIs(sum.Sum32())
}

func (f Frame) sumIs(got uint32) error {
	if got != f.sum {
		return fmt.Errorf("cannot read a frame of %d rows and %d bytes: its checksum is %08x, not %08x: %w", f.Rows, f.Stored, got, f.sum, ErrCorrupt)
	}
	return nil
}

// AppendFrame appends a whole frame, compressed if that makes it shorter.
// scratch holds the compressed bytes meanwhile; it is returned for the next
// call.
func AppendFrame(dst []byte, rows int, raw []byte, c codec.Compression, scratch []byte) (out, newScratch []byte) {
	body := raw
	if scratch = c.Compress(scratch[:0], raw); len(scratch) > 0 && len(scratch) < len(raw) {
		body = scratch
	}
	var head [FrameHeader]byte
	PutFrame(head[:], Frame{Rows: rows, Raw: len(raw)}, body)
	dst = append(dst, head[:]...)
	dst = append(dst, body...)
	return append(dst, padding[:(8-len(body)&7)&7]...), scratch
}

var padding [8]byte

// PutFrameHead writes the header of a frame without its checksum, for frames
// that stay in memory.
func PutFrameHead(head []byte, f Frame) {
	raw := uint32(f.Raw)
	if f.Uncombined {
		raw |= uncombined
	}
	binary.LittleEndian.PutUint32(head, uint32(f.Rows))
	binary.LittleEndian.PutUint32(head[4:], raw)
	binary.LittleEndian.PutUint32(head[8:], uint32(f.Stored))
	binary.LittleEndian.PutUint32(head[12:], 0)
}
