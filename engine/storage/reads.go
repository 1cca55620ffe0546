package storage

import (
	"sync/atomic"

	"github.com/execbench/execbench/engine/units"
)

// Reads counts what readers of cached partitions that live in files got.
type Reads struct {
	File    units.Bytes // read from files
	Decoded units.Bytes // decompressed from them, in the size that it came to
	Copied  units.Bytes // given by the read-back cache, without the file
}

// Sub returns what was read since an earlier count.
func (r Reads) Sub(earlier Reads) Reads {
	return Reads{r.File - earlier.File, r.Decoded - earlier.Decoded, r.Copied - earlier.Copied}
}

// reads are the counters; readers add to them, one frame at a time.
type reads struct{ file, decoded, copied atomic.Int64 }

// count takes in a frame that was read from its file.
func (r *reads) count(h header) {
	r.file.Add(int64(frameSize(int(h.stored))))
	if h.stored < h.raw {
		r.decoded.Add(int64(h.raw))
	}
}

// Reads returns the counts of the store's life so far.
func (s *Store) Reads() Reads {
	return Reads{units.Bytes(s.reads.file.Load()), units.Bytes(s.reads.decoded.Load()), units.Bytes(s.reads.copied.Load())}
}
