package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// A table is zero whatever its page held before, counts as the attempt's
// under its name, and is refused when it does not fit.
func TestTable(t *testing.T) {
	s := open(t, engine.Config{Cores: 1, Memory: 64 * units.MiB})
	d := engine.Parallelize(s, []int{1, 2, 3, 4, 5, 6}, 6)
	sums := engine.MapPartitions(d, func(t *engine.Task, _ int, each func(func([]int) error) error, emit func([]int) error) error {
		table, err := engine.NewTable[int](t, "sums", 100_000)
		if err != nil {
			return err
		}
		defer table.Release()
		sum := 0
		for i := range table.Rows {
			sum += table.Rows[i]
			table.Rows[i] = 7
		}
		held := int64(0)
		for _, a := range s.Accounts() {
			if a.Name == "sums" {
				held = a.Bytes
			}
		}
		table.Release()
		return emit([]int{sum, len(table.Rows), int(held / 800_000)})
	})
	got, err := sums.Collect(t.Context())
	if err != nil || len(got) != 18 {
		t.Fatal(got, err)
	}
	for i, want := range []int{0, 0, 1} {
		for at := i; at < len(got); at += 3 {
			if got[at] != want {
				t.Errorf("number %d of partition %d is %d, want %d", i, at/3, got[at], want)
			}
		}
	}
	for _, n := range []int{0, 1 << 30} {
		_, err := engine.MapPartitions(d, func(t *engine.Task, _ int, _ func(func([]int) error) error, emit func([]int) error) error {
			table, err := engine.NewTable[int64](t, "too many", n)
			if err != nil {
				return err
			}
			defer table.Release()
			return emit([]int{len(table.Rows)})
		}).Collect(t.Context())
		if n == 0 && err != nil {
			t.Error(err)
		}
		if n > 0 && (!errors.Is(err, engine.ErrNoMemory) || !strings.Contains(err.Error(), "too many")) {
			t.Errorf("a table of 8 GiB: %v", err)
		}
	}
}
