//go:build !amd64 || race || purego

package shuffle

// moveMost moves as many rows as go before a chunk is full.
func moveMost[T any](chunks []chunkState, parts []int32, rows []T) int {
	return moveRows(chunks, parts, rows)
}
