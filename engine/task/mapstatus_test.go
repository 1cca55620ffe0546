package task_test

import (
	"errors"
	"hash/crc32"
	"math"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

var here = task.Location{Host: "h", Executor: id.Driver}

// Golden vectors of spark-semantics §13.
func TestMapStatusSizes(t *testing.T) {
	for _, c := range []struct{ size, want int64 }{
		{0, 0}, {1, 1}, {2, 2}, {10, 10}, {100, 106}, {1000, 1051}, {65536, 69653}, {1 << 20, 1104923},
		{104857600, 107196577}, {1 << 30, 1161443397}, {1e12, 35903328718}, {math.MaxInt64, 35903328718},
	} {
		if got := task.NewMapStatus(here, 1, []int64{c.size}).Size(0); got != c.want {
			t.Errorf("size %d is told as %d, want %d", c.size, got, c.want)
		}
	}
	for n := int64(1); n < 1e9; n += n/7 + 1 {
		got := task.NewMapStatus(here, 1, []int64{n}).Size(0)
		if got < n-1 || float64(got) > 1.1*float64(n)+1 {
			t.Errorf("size %d is told as %d: more than 10 %% off", n, got)
		}
	}
}

func TestMOT_003_MapStatusForms(t *testing.T) {
	exact := make([]int64, 2000)
	for i := range exact {
		exact[i] = int64(i)
	}
	s := task.NewMapStatus(here, 7, exact)
	if s.Size(0) != 0 || s.Size(10) != 10 || s.Size(1000) != 1051 {
		t.Errorf("2000 sizes: got %d, %d, %d", s.Size(0), s.Size(10), s.Size(1000))
	}
	many := make([]int64, 2001)
	var sum int64
	for i := range many {
		if i%3 != 0 {
			many[i] = int64(1000 + i)
			sum += many[i]
		}
	}
	s = task.NewMapStatus(here, 7, many)
	for i, n := range many {
		want := sum / 1334
		if n == 0 {
			want = 0
		}
		if s.Size(i) != want {
			t.Fatalf("reducer %d of 2001 with %d bytes: got %d want %d", i, n, s.Size(i), want)
		}
	}
	// Huge blocks keep their size and do not weigh on the average.
	many[5], many[2000] = 100<<20, 1<<30
	sum -= 1005 + 3000
	s = task.NewMapStatus(here, 7, many)
	if s.Size(5) != 107196577 || s.Size(2000) != 1161443397 || s.Size(1) != sum/1332 {
		t.Errorf("huge blocks: got %d, %d, others %d", s.Size(5), s.Size(2000), s.Size(1))
	}
	// A tiny average is still not empty.
	ones := make([]int64, 3000)
	ones[17] = 1
	s = task.NewMapStatus(here, 7, ones)
	if s.Size(17) != 1 || s.Size(16) != 0 {
		t.Errorf("one byte: got %d and %d", s.Size(17), s.Size(16))
	}
	sums := make([]int64, 3000)
	s.AddTo(sums)
	if sums[17] != 1 || sums[18] != 0 {
		t.Errorf("sums: got %d and %d", sums[17], sums[18])
	}
}

func TestMapStatusFits(t *testing.T) {
	sizes := map[string][]int64{"exact": {0, 1, 500, 1 << 20, 1 << 40}, "highly": make([]int64, 2500)}
	copy(sizes["highly"], []int64{0, 10, 200 << 20})
	for name, list := range sizes {
		s := task.NewMapStatus(here, 1, list)
		for r, n := range list[:min(len(list), 5)] {
			if !s.Fits(r, n) {
				t.Errorf("%s: block %d of %d bytes does not fit its own status", name, r, n)
			}
			if other := []int64{1 << 30, 0}[min(n, 1)]; s.Fits(r, other) {
				t.Errorf("%s: block %d of %d bytes may have %d", name, r, n, other)
			}
		}
		if s.Fits(2, 2*list[2]) {
			t.Errorf("%s: a block whose size is kept may have twice as many bytes", name)
		}
	}
}

func sampleMapStatuses() []*task.MapStatus {
	many := make([]int64, 2500)
	for i := range many {
		many[i] = int64(i%5) << 24
	}
	many[3], many[2499] = 1<<40, 0
	summed := task.NewMapStatus(here, 5, []int64{1, 2})
	summed.RowSum = -7
	summed.Keys = task.KeySpan{Rows: 5, Least: -1 << 63, Most: 3}
	return []*task.MapStatus{
		summed,
		task.NewMapStatus(here, 0, nil),
		task.NewMapStatus(task.Location{Host: "other", Executor: "17"}, 1<<40, []int64{0, 1, 1 << 35, 9}),
		task.NewMapStatus(here, 3, many),
		task.NewMapStatus(here, 3, make([]int64, 2001)),
	}
}

func TestMapStatusRoundTrip(t *testing.T) {
	for i, s := range sampleMapStatuses() {
		b := task.AppendMapStatus([]byte("prefix"), s)[len("prefix"):]
		var got task.MapStatus
		if err := task.DecodeMapStatus(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.Location != s.Location || got.RowSum != s.RowSum || got.Keys != s.Keys || got.Map != s.Map || got.Reducers() != s.Reducers() {
			t.Fatalf("status %d: got %+v", i, got)
		}
		for r := range s.Reducers() {
			if got.Size(r) != s.Size(r) {
				t.Fatalf("status %d, reducer %d: got %d want %d", i, r, got.Size(r), s.Size(r))
			}
		}
		for k := range b {
			b[k] ^= 0x40
			if err := task.DecodeMapStatus(b, new(task.MapStatus)); !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("status %d, byte %d flipped: error %v, want ErrCorrupt", i, k, err)
			}
			b[k] ^= 0x40
			if err := task.DecodeMapStatus(b[:k], new(task.MapStatus)); !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("status %d, %d bytes: error %v, want ErrCorrupt", i, k, err)
			}
		}
	}
}

func FuzzDecodeMapStatus(f *testing.F) {
	for _, s := range sampleMapStatuses() {
		b := task.AppendMapStatus(nil, s)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// With a right checksum, so that what lies behind it is reached.
		b := append([]byte(nil), body...)
		sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
		b = append(b, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
		var got, again task.MapStatus
		if err := task.DecodeMapStatus(b, &got); err != nil {
			if !errors.Is(err, task.ErrCorrupt) {
				t.Fatalf("error without ErrCorrupt: %v", err)
			}
			return
		}
		if err := task.DecodeMapStatus(task.AppendMapStatus(nil, &got), &again); err != nil {
			t.Fatalf("cannot decode what was decoded and encoded: %v", err)
		}
		for r := range got.Reducers() {
			if got.Size(r) != again.Size(r) {
				t.Fatalf("reducer %d: %d and then %d", r, got.Size(r), again.Size(r))
			}
		}
	})
}
