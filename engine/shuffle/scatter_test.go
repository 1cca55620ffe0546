package shuffle

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// What moves rows of 16 bytes on this machine does as the loop in Go does:
// the same rows in the same places, stopping at the same row.
func TestMovingRowsIsOfOneKind(t *testing.T) {
	type row = codec.Pair[int64, int64]
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		reducers, n := 1+rng.IntN(9), rng.IntN(60)
		rows, parts := make([]row, n), make([]int32, n)
		for i := range rows {
			rows[i] = row{Key: rng.Int64(), Value: int64(i)}
			parts[i] = int32(rng.IntN(reducers))
		}
		const room = 1 << 10
		fresh := func() (chunks []chunkState, mem []byte) {
			mem = make([]byte, reducers*room)
			chunks = make([]chunkState, reducers)
			for i := range chunks {
				chunks[i] = chunkState{base: unsafe.Pointer(&mem[i*room])}
			}
			return chunks, mem
		}
		a, inA := fresh()
		b, inB := fresh()
		for i := range reducers { // some are full at once, some soon, some never
			off := uint32(rng.IntN(4)) * 8
			end := off + uint32(rng.IntN(20)*16+rng.IntN(16))
			a[i].off, a[i].end, b[i].off, b[i].end = off, end, off, end
		}
		doneA, doneB := moveMost(a, parts, rows), moveRows(b, parts, rows)
		if doneA != doneB || string(inA) != string(inB) {
			t.Fatalf("%d and %d rows of %d moved to %d chunks, or not to the same places", doneA, doneB, n, reducers)
		}
		for i := range a {
			if a[i].off != b[i].off || a[i].end != b[i].end {
				t.Errorf("chunk %d ends at %d, want %d", i, a[i].off, b[i].off)
			}
		}
		if doneA < n && a[parts[doneA]].off+16 <= a[parts[doneA]].end {
			t.Errorf("stopped at row %d, which had room", doneA)
		}
	}
}
