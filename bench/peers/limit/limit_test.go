package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func file(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func written(t *testing.T, run func(out string) error) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if err := run(out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Sorted records are those of a stable sort by key; many keys are equal in
// their first bytes, and some whole.
func TestSort(t *testing.T) {
	for _, n := range []int{0, 1, 2, 63, 20000} {
		dice := random(n)
		records := make([][]byte, n)
		for i := range records {
			records[i] = fmt.Appendf(nil, "ab%08d %088d\n", dice.next()%uint64(2*n), i)
		}
		in := file(t, bytes.Join(records, nil))
		got := written(t, func(out string) error { return sortRecords(in, out) })
		slices.SortStableFunc(records, func(a, b []byte) int { return bytes.Compare(a[:10], b[:10]) })
		if !bytes.Equal(got, bytes.Join(records, nil)) {
			t.Errorf("%d records are not sorted", n)
		}
	}
}

// Words are counted as fields are, across pieces and between threads, with
// and without an end of the last line.
func TestWords(t *testing.T) {
	dice := random(1)
	var text strings.Builder
	for text.Len() < 3*pieceBytes {
		text.WriteString(strings.Repeat("x", int(dice.next()%20)))
		fmt.Fprintf(&text, "%d", dice.next()%1000)
		text.WriteString([]string{" ", "  ", "\n", "\t\n"}[dice.next()%4])
	}
	for _, text := range []string{"", "a", "a\n", " a a b", "é é\n", text.String(), text.String() + "last"} {
		got := strings.Split(strings.TrimSpace(string(written(t, func(out string) error { return countWords(file(t, []byte(text)), out) }))), "\n")
		counts := map[string]int{}
		for _, w := range strings.Fields(text) {
			counts[w]++
		}
		want := []string{}
		for w, n := range counts {
			want = append(want, fmt.Sprintf("%s\t%d", w, n))
		}
		if len(want) == 0 {
			want = []string{""}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("text of %d bytes: %d lines, want %d", len(text), len(got), len(want))
		}
	}
}

// Lines come whole and once, wherever the halves and pieces are cut.
func TestLines(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 40000} {
		var text bytes.Buffer
		text.WriteString("id,v,f\n")
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("%d,%d,0.%d", i, i*7, i%10))
			text.WriteString(want[i] + "\n")
		}
		var got [threads][]string
		err := lines(file(t, text.Bytes()), func(t int, text []byte) {
			got[t] = append(got[t], strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })...)
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := append(got[0], got[1]...); !slices.Equal(all, want) {
			t.Errorf("%d lines came as %d", n, len(all))
		}
	}
}

// Both ways to group agree with a map.
func TestGroupBy(t *testing.T) {
	for _, keys := range []int{1, 100, 50000} {
		r := &rowsByKey{keys: keys, moved: make([]groupRow, 30000), parts: 3}
		want := map[int64]group{}
		dice := random(keys)
		for range cap(r.moved) {
			key, v, f := int64(dice.next()%uint64(keys)), int64(dice.next()%256), float64(dice.next()%1024)/1024
			r.key, r.v, r.f = append(r.key, key), append(r.v, v), append(r.f, f)
			g := want[key]
			want[key] = group{key, g.n + 1, g.sum + v, g.total + f}
		}
		for t := range threads {
			r.local[t] = newGroupTable(make([]group, tableSlots(keys)))
			r.groups[t] = make([]group, keys)
		}
		for name, query := range map[string]func() string{"few": r.fewGroups, "many": r.manyGroups} {
			query()
			got := map[int64]group{}
			for _, part := range r.groups {
				for _, g := range part {
					got[g.key] = g
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s, %d keys: %d groups, want %d", name, keys, len(got), len(want))
			}
		}
	}
}

// Both ways to join agree with a map, also where rows have no match.
func TestJoin(t *testing.T) {
	j := &tables{parts: 2, dense: make([]int32, 1000), aMoved: make([]pair, 5000), bMoved: make([]pair, 700)}
	for t := range threads {
		j.slots[t] = make([]pair, 1024)
	}
	b := map[int64]int64{}
	dice := random(1)
	for len(j.bKey) < len(j.bMoved) {
		key := int64(dice.next() % 1000)
		if _, there := b[key]; there {
			continue
		}
		b[key] = int64(dice.next() % 256)
		j.bKey, j.bValue = append(j.bKey, key), append(j.bValue, b[key])
	}
	var want matches
	for range j.aMoved {
		key, v := int64(dice.next()%1000), int64(dice.next()%256)
		j.aKey, j.aValue = append(j.aKey, key), append(j.aValue, v)
		if w, there := b[key]; there {
			want = want.plus(matches{1, v, w})
		}
	}
	if got := j.byParts(); got != want.String() {
		t.Errorf("by parts: %s, want %s", got, want)
	}
	if got := j.byPosition(); got != want.String() {
		t.Errorf("by position: %s, want %s", got, want)
	}
}

// Each way runs to its end, whatever the number.
func TestWaysEnd(t *testing.T) {
	for _, n := range []int{1, 2, 255, 3000} {
		for _, way := range ways {
			way(n)
		}
	}
}

// A copy is equal, and lines differ by their CR alone.
func TestCopies(t *testing.T) {
	record := append(bytes.Repeat([]byte("k"), recordBytes-2), '\r', '\n')
	text := bytes.Repeat(record, 2*step/recordBytes+3)
	in := file(t, text)
	if got := written(t, func(out string) error { return copyFile(in, out) }); !bytes.Equal(got, text) {
		t.Error("the copy differs")
	}
	if got := written(t, func(out string) error { return makeLines(in, out) }); !bytes.Equal(got, bytes.ReplaceAll(text, []byte("\r"), []byte(" "))) {
		t.Error("the lines differ by more than their CR")
	}
}

// Programs refuse what they cannot run.
func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"nothing"}, {"sort", "a"}, {"tasks"}, {"tasks", "none", "3"}, {"groupby", "x", "3"}, {"join", "1", "-3"}, {"sort", "/no/such/file", "/no/such/file2"}} {
		if err := run(args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
