package shuffle

import (
	"bytes"
	"errors"
	"testing"

	"github.com/execbench/execbench/engine/spill"
)

// FuzzReadIndex: an index of any bytes gives a range within reason or an
// error.
func FuzzReadIndex(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0}, 32), uint8(3), uint8(1))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 8}, uint8(3), uint8(0))
	f.Fuzz(func(t *testing.T, index []byte, reducers, p uint8) {
		if reducers == 0 {
			return
		}
		p %= reducers
		start, end, err := readIndex(bytes.NewReader(index), int64(len(index)), int(reducers), int(p), int(p)+1)
		if err == nil && (start < 0 || end < start) {
			t.Errorf("bytes %d to %d", start, end)
		}
		if err != nil && !errors.Is(err, spill.ErrCorrupt) {
			t.Errorf("%v is no damage", err)
		}
	})
}

// Spark's golden vector: lengths 3, 0, 5.
func TestReadIndexGolden(t *testing.T) {
	index := []byte{31: 8, 23: 3, 15: 3}
	for p, want := range [][2]int64{{0, 3}, {3, 3}, {3, 8}} {
		start, end, err := readIndex(bytes.NewReader(index), 32, 3, p, p+1)
		if err != nil || [2]int64{start, end} != want {
			t.Errorf("reducer %d: %d to %d, %v; want %v", p, start, end, err, want)
		}
	}
}
