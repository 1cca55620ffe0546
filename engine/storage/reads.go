package storage

import (
	"sync/atomic"

	"github.com/execbench/execbench/engine/units"
)

// Reads counts what readers of cached partitions that live in files got, and
// what readers of other executors got, wherever it lives.
type Reads struct {
	File    units.Bytes // read from files
	Decoded units.Bytes // decompressed from them, in the size that it came to
	Copied  units.Bytes // given by the read-back cache, without the file
	Remote  units.Bytes // read by other executors, from pages or files
}

// Sub returns what was read since an earlier count.
func (r Reads) Sub(earlier Reads) Reads {
	return Reads{r.File - earlier.File, r.Decoded - earlier.Decoded, r.Copied - earlier.Copied, r.Remote - earlier.Remote}
}

// Add returns the sum of two counts.
func (r Reads) Add(o Reads) Reads {
	return Reads{r.File + o.File, r.Decoded + o.Decoded, r.Copied + o.Copied, r.Remote + o.Remote}
}

// reads are the counters; readers add to them, one frame at a time.
type reads struct{ file, decoded, copied, remote atomic.Int64 }

// count takes in a frame that was read from its file.
func (r *reads) count(h header) {
	r.file.Add(int64(frameSize(int(h.stored))))
	if h.stored < h.raw {
		r.decoded.Add(int64(h.raw))
	}
}

// Reads returns the counts of the store's life so far.
func (s *Store) Reads() Reads {
	r := &s.reads
	return Reads{units.Bytes(r.file.Load()), units.Bytes(r.decoded.Load()), units.Bytes(r.copied.Load()), units.Bytes(r.remote.Load())}
}
