package shuffle

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// What moves rows on this machine does as the loop in Go does: the same rows
// in the same places, stopping at the same row.
func TestMovingRowsIsOfOneKind(t *testing.T) {
	testMoving(t, func(i int) [15]byte { return [15]byte{byte(i), 14: byte(i >> 8)} })
	testMoving(t, func(i int) codec.Pair[int64, int64] { return codec.Pair[int64, int64]{Key: int64(i), Value: -1} })
	testMoving(t, func(i int) [19]byte { return [19]byte{byte(i), 9: 9, 18: byte(i >> 8)} })
	testMoving(t, func(i int) [3]int64 { return [3]int64{1, int64(i), 3} })
	testMoving(t, func(i int) [4]int64 { return [4]int64{int64(i), 2, 3, int64(-i)} })
	testMoving(t, func(i int) [5]int64 { return [5]int64{1, 2, int64(i), 4, 5} })
}

func testMoving[T any](t *testing.T, row func(i int) T) {
	size := uint32(unsafe.Sizeof(row(0)))
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		reducers, n := 1+rng.IntN(9), rng.IntN(60)
		rows, parts := make([]T, n), make([]int32, n)
		for i := range rows {
			rows[i] = row(i)
			parts[i] = int32(rng.IntN(reducers))
		}
		const room = 2 << 10
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
			end := off + uint32(rng.IntN(20)*int(size)+rng.IntN(int(size)))
			a[i].off, a[i].end, b[i].off, b[i].end = off, end, off, end
		}
		doneA, doneB := moveMost(a, parts, rows), moveRows(b, parts, rows)
		if doneA != doneB || string(inA) != string(inB) {
			t.Fatalf("%d and %d rows of %d, of %d bytes, moved to %d chunks, or not to the same places", doneA, doneB, n, size, reducers)
		}
		for i := range a {
			if a[i].off != b[i].off || a[i].end != b[i].end {
				t.Errorf("chunk %d ends at %d, want %d", i, a[i].off, b[i].off)
			}
		}
		if doneA < n && a[parts[doneA]].off+size <= a[parts[doneA]].end {
			t.Errorf("stopped at row %d, which had room", doneA)
		}
	}
}
