package engine_test

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// CountByValue counts right whatever the cores, the partitions and the memory,
// and whether or not it spills.
func TestCountByValue(t *testing.T) {
	countsOf(t, func(i int64) string { return strings.Repeat("x", int(i%41)) + fmt.Sprintf("\x00%d\xff", i) })
	countsOf(t, func(i int64) int64 { return i<<33 - i })
	countsOf(t, func(i int64) visitKey { return visitKey{i << 20, int32(i % 5)} })
}

func countsOf[K comparable](t *testing.T, key func(i int64) K) {
	var zero K
	t.Run(fmt.Sprintf("%T", zero), func(t *testing.T) {
		for _, c := range []struct {
			engine.Config
			partitions int
			keys       int64
		}{
			{engine.Config{Cores: 2}, 5, 9_000},
			{engine.Config{Cores: 1}, 1, 9_000},
			{engine.Config{Cores: 1, Memory: 48 * units.MiB}, 1, 600_000}, // spills
		} {
			if raceEnabled && c.Memory > 0 {
				continue
			}
			r := start(t, c.Config)
			rows := 2*c.keys + 7
			index := func(row int64) int64 { return row * 7919 % c.keys }
			times := make([]int64, c.keys)
			for row := range rows {
				times[index(row)]++
			}
			var want [2]uint64
			for i, n := range times {
				want = [2]uint64{want[0] + 1, want[1] + maphash.Comparable(hashed, engine.Pair[K, int64]{Key: key(int64(i)), Value: n})}
			}
			keys := engine.Map(engine.Range(r.Session, rows, 3), func(row int64) K { return key(index(row)) })
			if got := groupsOf(t, engine.CountByValue(keys, engine.Partitions(c.partitions))); got != want {
				t.Errorf("cores %d, memory %v: counts are %v, want %v", c.Cores, c.Memory, got, want)
			}
			checkSpills(t, r, c.Memory > 0)
			r.finish()
		}
	})
}

type line string

// Fields are those of strings.FieldsFunc, of texts of any type, in batches
// that a text may end in.
func TestFieldsOfTexts(t *testing.T) {
	const blanks = " \t,"
	var texts []line
	var bytes [][]byte
	want := map[string]int64{}
	for i := range 3000 {
		s := strings.Repeat(fmt.Sprintf(" %d,\x00é\t\t", i%50), i%97)
		if i%3 == 0 {
			s += "end"
		}
		texts, bytes = append(texts, line(s)), append(bytes, []byte(s))
		for f := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune(blanks, r) }) {
			want[f]++
		}
	}
	s := start(t, engine.Config{Cores: 2}).Session
	for name, d := range map[string]*engine.Dataset[string]{
		"strings": engine.Fields(engine.Parallelize(s, texts, 3), blanks),
		"bytes":   engine.Fields(engine.Parallelize(s, bytes, 2), blanks),
	} {
		counts, err := engine.CountByValue(d).Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(counts) != len(want) {
			t.Errorf("%s: %d fields, want %d", name, len(counts), len(want))
		}
		for _, c := range counts {
			if want[c.Key] != c.Value {
				t.Errorf("%s: %q is there %d times, want %d", name, c.Key, c.Value, want[c.Key])
			}
		}
	}
}
