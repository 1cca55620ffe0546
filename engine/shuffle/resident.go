package shuffle

import (
	"encoding/binary"
	"fmt"

	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
)

// resident is a map output in memory: frames in pages, and a directory of
// them, which is in a page, too, so that thousands of outputs cost the
// collector nothing:
//
//	starts [reducers+1] u32, non-decreasing: reducer r has frames [starts[r], starts[r+1])
//	places [frames]     u64: page number << 32 | offset of the frame's header
//
// Frames in memory carry no checksum: it is made when they are written to a
// file.
type resident struct {
	pages    []*memory.Page
	reducers int
	starts   []byte
	places   []byte
}

func directorySize(reducers, frames int) int { return 4*(reducers+1) + 8*frames + 8 }

// bytes returns what the pages take.
func (r *resident) bytes() (n int64) {
	for _, p := range r.pages {
		n += p.Size()
	}
	return n
}

func (r *resident) free(h *memory.Holder) {
	for _, p := range r.pages {
		h.Free(p)
	}
	r.pages = nil
}

// span returns the numbers of a reducer's frames.
func (r *resident) span(reducer int) (from, to int) {
	return int(binary.LittleEndian.Uint32(r.starts[4*reducer:])), int(binary.LittleEndian.Uint32(r.starts[4*reducer+4:]))
}

// frame returns frame number i: its header decoded, its header's bytes and
// its stored bytes.
func (r *resident) frame(i int) (f spill.Frame, head, body []byte) {
	place := binary.LittleEndian.Uint64(r.places[8*i:])
	head = r.pages[place>>32].Data[uint32(place):]
	f, err := spill.ParseFrame(head)
	if err != nil {
		panic(fmt.Sprintf("BUG: frame %d of a map output in memory: %v", i, err))
	}
	end := spill.FrameHeader + f.Stored
	return f, head[:spill.FrameHeader], head[spill.FrameHeader:end:end]
}

// layDirectory writes the directory into dst, which has directorySize bytes,
// for frames that are given by reducer and place in the order of writing.
func layDirectory(dst []byte, reducers int, frames []placed) (starts, places []byte) {
	starts = dst[:4*(reducers+1)]
	at := (len(starts) + 7) &^ 7
	places = dst[at : at+8*len(frames)]
	next := make([]uint32, reducers+1)
	for _, f := range frames {
		next[f.reducer+1]++
	}
	for r := range reducers {
		next[r+1] += next[r]
	}
	for r, n := range next {
		binary.LittleEndian.PutUint32(starts[4*r:], n)
	}
	for _, f := range frames { // next[r] moves from where r's frames start to where they end
		binary.LittleEndian.PutUint64(places[8*next[f.reducer]:], f.place)
		next[f.reducer]++
	}
	return starts, places
}

// placed is a frame that a writer has finished.
type placed struct {
	reducer int32
	stored  int32  // bytes with header and padding
	place   uint64 // page number << 32 | offset
}
