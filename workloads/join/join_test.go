package join

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func values(t testing.TB, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func generated(t testing.TB, v workloads.Values) workloads.Input {
	t.Helper()
	dir := t.TempDir()
	if err := generate(t.Context(), workloads.Gen{Cores: 2}, v, dir); err != nil {
		t.Fatal(err)
	}
	return workloads.Input{Paths: []string{dir}, Generated: true}
}

// valuesByKey reads a file as the values of each key.
func valuesByKey(t testing.TB, path string) map[string][]int64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int64{}
	for _, r := range rows[1:] {
		v, err := strconv.ParseInt(r[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out[r[0]] = append(out[r[0]], v)
	}
	return out
}

// naive joins by two loops.
func naive(a, b map[string][]int64) (all totals) {
	for k, left := range a {
		for _, v := range left {
			for _, w := range b[k] {
				all = all.add(totals{1, v, w})
			}
		}
	}
	return all
}

func sidesOf(t testing.TB, in workloads.Input) (a, b map[string][]int64) {
	t.Helper()
	left, right, err := sides(in)
	if err != nil {
		t.Fatal(err)
	}
	return valuesByKey(t, left), valuesByKey(t, right)
}

func failed(t testing.TB, v workloads.Values, in workloads.Input, a *workloads.Answer) string {
	t.Helper()
	verdict, err := verify(t.Context(), workloads.Gen{Cores: 2, Memory: 2 * units.MiB}, v, in, a)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range verdict.Failed() {
		names = append(names, c.Name)
	}
	return strings.Join(names, "; ")
}

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	v := values(t, "rows", "3000", "ratio", "2", "keys", "400", "skew", "0.8", "sparse", "true")
	in := generated(t, v)
	a, b := sidesOf(t, in)
	right := naive(a, b)
	if right.Matches < 10000 {
		t.Fatalf("only %d matches: the keys do not repeat", right.Matches)
	}
	for _, c := range []struct {
		name  string
		wrong totals
		want  string
	}{
		{"none", right, ""},
		{"a match lost", right.add(totals{-1, -150, -150}), "matches; records returned; sum of v; sum of w; checksum"},
		{"a match twice, another lost", right.add(totals{0, 1, 0}), "sum of v; checksum"},
		{"sides exchanged", totals{right.Matches, right.W, right.V}, "sum of v; sum of w; checksum"},
		{"nothing", totals{}, "matches; records returned; sum of v; sum of w; checksum"},
	} {
		if got := failed(t, v, in, &workloads.Answer{Records: c.wrong.Matches, Checksum: c.wrong.String(), Detail: c.wrong}); got != c.want {
			t.Errorf("%s: the verifier objects to %q, want %q", c.name, got, c.want)
		}
	}
	if got := failed(t, v, in, &workloads.Answer{Records: right.Matches, Checksum: "other", Detail: right}); got != "checksum" {
		t.Errorf("another checksum: %q", got)
	}
	if _, err := verify(t.Context(), workloads.Gen{}, v, in, &workloads.Answer{}); err == nil {
		t.Error("an answer without totals was judged")
	}
}

// Sizes, keys and matches are as the parameters say.
func TestGeneratedTables(t *testing.T) {
	for _, c := range []struct {
		pairs             []string
		left, right, keys int // rows, rows, distinct keys of b
		all               bool
	}{
		{[]string{"rows", "20000"}, 20000, 20000, 20000, true},
		{[]string{"rows", "20000", "ratio", "10", "sparse", "true"}, 20000, 2000, 2000, true},
		{[]string{"rows", "2000", "ratio", "0.1"}, 2000, 20000, 20000, true},
		{[]string{"rows", "5000", "ratio", "2", "keys", "100", "skew", "1"}, 5000, 2500, 100, true},
		{[]string{"rows", "5000", "ratio", "5", "keys", "5000"}, 5000, 1000, 1000, false},
		{[]string{"rows", "1", "ratio", "1e9"}, 1, 1, 1, true},
	} {
		v := values(t, c.pairs...)
		in := generated(t, v)
		files, err := workloads.InputFiles(in.Paths)
		if err != nil || workloads.TotalBytes(files) != dataBytes(v) {
			t.Errorf("%v: %v (%v), said to be %d bytes", c.pairs, files, err, dataBytes(v))
		}
		a, b := sidesOf(t, in)
		count := func(m map[string][]int64) (n int) {
			for _, rows := range m {
				n += len(rows)
			}
			return n
		}
		if count(a) != c.left || count(b) != c.right || len(b) != c.keys {
			t.Errorf("%v: %d and %d rows, %d keys on the right, want %d, %d, %d", c.pairs, count(a), count(b), len(b), c.left, c.right, c.keys)
		}
		missing := 0
		for k := range a {
			if len(b[k]) == 0 {
				missing++
			}
		}
		if (missing == 0) != c.all {
			t.Errorf("%v: %d keys of a without a match", c.pairs, missing)
		}
	}
}

func TestInputsOfTheUsersOwn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	orders := write("orders.csv", "customer,amount\n1,10\n2,20\n01,5\n9,7\n")
	customers := write("customers.csv", "age,name,customer\n40,\"a,b\",1\n30,c,2\n20,d,3\n41,e,1\n")
	v := values(t, "key-column", "customer", "left-column", "amount", "right-column", "age", "cached", "true")
	s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := workloads.Input{Paths: []string{orders, customers}}
	built, err := build(s, v, in)
	if err == nil {
		err = prepare(t.Context(), s, built, v)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := run(t.Context(), s, built, v, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := (totals{5, 10 + 10 + 5 + 5 + 20, 40 + 41 + 40 + 41 + 30}); a.Detail != want {
		t.Errorf("got %v, want %v", a.Detail, want)
	}
	if got := failed(t, v, in, a); got != "" {
		t.Errorf("the verifier objects to %q", got)
	}
	for _, paths := range [][]string{nil, {orders}, {dir}, {orders, customers, orders}} {
		if _, err := build(s, v, workloads.Input{Paths: paths}); err == nil || !strings.Contains(err.Error(), "A.csv,B.csv") {
			t.Errorf("inputs %v: %v", paths, err)
		}
	}
}
