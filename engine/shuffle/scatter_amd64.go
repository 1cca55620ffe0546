//go:build amd64 && !race && !purego

package shuffle

import "unsafe"

// moveAhead moves rows of 16 to 32 bytes into their reducers' chunks until one
// is full, or a number is none of a reducer, and returns how many it moved. It
// is moveRows, but for asking for the line that a chunk will need after next:
// with more chunks than the processor can follow by itself (some 16), each
// line is otherwise waited for when its first row is stored. It asks for the
// rows of the next batch, too: where they lie behind these, whoever reads them
// first need not wait either (a join's map tasks took a tenth longer without).
//
//go:noescape
func moveAhead(chunks *chunkState, parts *int32, rows unsafe.Pointer, n, reducers, size int) (done int)

// The assembly knows the layout of chunkState.
var (
	_ [unsafe.Offsetof(chunkState{}.off) - 8]struct{}
	_ [8 - unsafe.Offsetof(chunkState{}.off)]struct{}
	_ [unsafe.Offsetof(chunkState{}.end) - 12]struct{}
	_ [12 - unsafe.Offsetof(chunkState{}.end)]struct{}
	_ [unsafe.Sizeof(chunkState{}) - 32]struct{}
	_ [32 - unsafe.Sizeof(chunkState{})]struct{}
)

// moveMost moves as many rows as go before a chunk is full.
func moveMost[T any](chunks []chunkState, parts []int32, rows []T) int {
	var zero T
	if size := unsafe.Sizeof(zero); 16 <= size && size <= 32 && len(rows) > 0 {
		_ = parts[len(rows)-1]
		return moveAhead(unsafe.SliceData(chunks), unsafe.SliceData(parts), unsafe.Pointer(unsafe.SliceData(rows)), len(rows), len(chunks), int(size))
	}
	return moveRows(chunks, parts, rows)
}
