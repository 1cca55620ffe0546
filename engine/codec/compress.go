package codec

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression shrinks frames. It is used by several goroutines at once.
type Compression interface {
	// Name is the value of io.compression.codec that means it.
	Name() string
	// Compress appends the compressed form of src to dst. Where that is not
	// shorter than src it returns dst as it was: store src then, which
	// [Decompress] recognises by the equal lengths.
	Compress(dst, src []byte) []byte
	// Decompress appends the rawLen bytes that src was made from to dst. It
	// allocates only if dst lacks the capacity. The error wraps [ErrCorrupt].
	Decompress(dst, src []byte, rawLen int) ([]byte, error)
}

// CompressionByName returns "none", "lz4" or "zstd"; empty means none.
func CompressionByName(name string) (Compression, error) {
	switch strings.ToLower(name) {
	case "", "none":
		return None, nil
	case "lz4":
		return lz4Compression{}, nil
	case "zstd":
		return zstdCompression{}, nil
	}
	return nil, fmt.Errorf("cannot compress with %q: there are none, lz4 and zstd", name)
}

// None does not compress.
var None Compression = noCompression{}

type noCompression struct{}

func (noCompression) Name() string                  { return "none" }
func (noCompression) Compress(dst, _ []byte) []byte { return dst }

func (noCompression) Decompress(dst, src []byte, rawLen int) ([]byte, error) {
	if len(src) != rawLen {
		return dst, corruptBlock("none", len(src), rawLen, nil)
	}
	return append(dst, src...), nil
}

type lz4Compression struct{}

func (lz4Compression) Name() string { return "lz4" }

// Compress uses a compressor from the library's own pool.
func (lz4Compression) Compress(dst, src []byte) []byte {
	if len(src) < 2 {
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, len(src)-1)
	n, err := lz4.CompressBlock(src, dst[at:at+len(src)-1], nil) // too little room: n is 0
	if err != nil || n == 0 {
		return dst[:at]
	}
	return dst[:at+n]
}

func (lz4Compression) Decompress(dst, src []byte, rawLen int) ([]byte, error) {
	if len(src) == rawLen {
		return append(dst, src...), nil
	}
	// Only what became shorter is stored compressed. A byte of lz4 stands for
	// at most 255: more is no lz4, and is not believed as a length to
	// allocate.
	if rawLen < len(src) || rawLen/256 > len(src) {
		return dst, corruptBlock("lz4", len(src), rawLen, nil)
	}
	at := len(dst)
	dst = slices.Grow(dst, rawLen)
	n, err := lz4.UncompressBlock(src, dst[at:at+rawLen])
	if err != nil || n != rawLen {
		return dst[:at], corruptBlock("lz4", len(src), rawLen, err)
	}
	return dst[:at+rawLen], nil
}

type zstdCompression struct{}

func (zstdCompression) Name() string { return "zstd" }

// zstdWindow bounds what an encoder and a decoder hold; frames are smaller.
const zstdWindow = 256 << 10

// Encoders and decoders hold tables of some 100 KiB, so they are kept; the
// pools grow to the number of workers.
var (
	zstdEncoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		if err != nil {
			panic("BUG: zstd encoder: " + err.Error()) // the options are constants
		}
		return e
	}}
	zstdDecoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic("BUG: zstd decoder: " + err.Error())
		}
		return d
	}}
)

func (zstdCompression) Compress(dst, src []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, len(src))
	e := zstdEncoders.Get().(*zstd.Encoder)
	out := e.EncodeAll(src, dst)
	zstdEncoders.Put(e)
	if len(out)-at >= len(src) {
		return dst[:at]
	}
	return out
}

func (zstdCompression) Decompress(dst, src []byte, rawLen int) ([]byte, error) {
	if len(src) == rawLen {
		return append(dst, src...), nil
	}
	// A zstd block of at least 3 bytes stands for at most 128 KiB.
	if rawLen < len(src) || rawLen>>17 > len(src)/3 {
		return dst, corruptBlock("zstd", len(src), rawLen, nil)
	}
	at := len(dst)
	dst = slices.Grow(dst, rawLen)
	d := zstdDecoders.Get().(*zstd.Decoder)
	out, err := d.DecodeAll(src, dst[:at:at+rawLen]) // the capacity is the limit
	zstdDecoders.Put(d)
	if err != nil || len(out) != at+rawLen {
		return dst[:at], corruptBlock("zstd", len(src), rawLen, err)
	}
	return out, nil
}

func corruptBlock(name string, stored, raw int, cause error) error {
	if cause == nil {
		return fmt.Errorf("cannot decompress %d bytes of %s into %d: %w", stored, name, raw, ErrCorrupt)
	}
	return fmt.Errorf("cannot decompress %d bytes of %s into %d: %w: %w", stored, name, raw, ErrCorrupt, cause)
}
