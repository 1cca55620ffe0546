package groupby

import (
	"bytes"
	"encoding/csv"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

func generated(t testing.TB, g workloads.Gen, v workloads.Values) workloads.Input {
	t.Helper()
	dir := t.TempDir()
	if err := generate(t.Context(), g, v, dir); err != nil {
		t.Fatal(err)
	}
	return workloads.Input{Paths: []string{dir}, Generated: true}
}

// naive groups the first file of in the slow way.
func naive(t testing.TB, in workloads.Input) map[string]group {
	t.Helper()
	files, err := workloads.InputFiles(in.Paths)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string]group{}
	for _, r := range rows[1:] {
		v, err := strconv.ParseInt(r[1], 10, 64)
		f, err2 := strconv.ParseFloat(r[2], 64)
		if err != nil || err2 != nil {
			t.Fatalf("%v: %v %v", r, err, err2)
		}
		groups[r[0]] = groups[r[0]].add(cell{v, f})
	}
	return groups
}

// answerOf is the answer that a job with these groups would give.
func answerOf(t testing.TB, groups map[string]group, text, exact bool) *workloads.Answer {
	t.Helper()
	var d digest
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		h := hashText(k)
		if !text {
			n, err := strconv.ParseInt(k, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			h = hashInt(n)
		}
		d.add(h, groups[k], exact)
	}
	return &workloads.Answer{Records: d.Groups, Checksum: d.String(), Detail: d}
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
	const (
		hash   = "hash of all groups; checksum"
		means  = "weighted sum of the means"
		groups = "groups; records returned"
		rows   = "rows counted in groups"
		sum    = "sum of v over all groups"
	)
	for _, key := range []string{"int", "string"} {
		v := values(t, "rows", "20000", "keys", "700", "skew", "0.8", "key", key)
		made := generated(t, workloads.Gen{}, v)
		given := made
		given.Generated = false
		all := naive(t, made)
		names := slices.Sorted(maps.Keys(all))
		a, b := names[3], names[400]
		for _, c := range []struct {
			name        string
			fault       func(m map[string]group)
			made, given string
		}{
			{"none", func(map[string]group) {}, "", ""},
			{"a group lost", func(m map[string]group) { delete(m, a) },
				strings.Join([]string{groups, rows, sum, "hash of all groups", means, "checksum"}, "; "), strings.Join([]string{groups, rows, sum, "hash of all groups", means, "checksum"}, "; ")},
			{"a row moved to another group", func(m map[string]group) {
				m[a] = group{m[a].Count - 1, m[a].V - 100, m[a].F}
				m[b] = group{m[b].Count + 1, m[b].V + 100, m[b].F}
			}, "hash of all groups; " + means + "; checksum", "hash of all groups; " + means + "; checksum"},
			{"sums of two groups exchanged", func(m map[string]group) {
				m[a] = group{m[a].Count, m[a].V + 1, m[a].F}
				m[b] = group{m[b].Count, m[b].V - 1, m[b].F}
			}, hash, hash},
			{"a mean off by one step", func(m map[string]group) {
				m[a] = group{m[a].Count, m[a].V, m[a].F + 1.0/1024}
			}, "hash of all groups; " + means + "; checksum", means},
			{"a mean off by its last bit", func(m map[string]group) {
				m[a] = group{m[a].Count, m[a].V, m[a].F * (1 + 1e-15)}
			}, hash, ""},
		} {
			m := maps.Clone(all)
			c.fault(m)
			if got := failed(t, v, made, answerOf(t, m, key == "string", true)); got != c.made {
				t.Errorf("%s, %s keys: the verifier objects to %q, want %q", c.name, key, got, c.made)
			}
			if got := failed(t, v, given, answerOf(t, m, key == "string", false)); got != c.given {
				t.Errorf("%s, %s keys of the user's: the verifier objects to %q, want %q", c.name, key, got, c.given)
			}
		}
	}
	if _, err := verify(t.Context(), workloads.Gen{}, values(t), workloads.Input{}, &workloads.Answer{}); err == nil {
		t.Error("an answer without a digest was judged")
	}
}

func TestGeneratedTable(t *testing.T) {
	for _, c := range []struct {
		pairs    []string
		min, max int // groups
		heaviest int64
	}{
		{[]string{"rows", "30000", "keys", "500"}, 500, 500, 120},
		{[]string{"rows", "30000", "keys", "500", "skew", "1.5"}, 300, 500, 15000},
		{[]string{"rows", "30000", "keys", "1000000000", "key", "string"}, 29900, 30000, 5},
		{[]string{"rows", "1", "keys", "1"}, 1, 1, 1},
	} {
		v := values(t, c.pairs...)
		in := generated(t, workloads.Gen{Cores: 2}, v)
		files, err := workloads.InputFiles(in.Paths)
		if err != nil || workloads.TotalBytes(files) != dataBytes(v) {
			t.Errorf("%v: %v (%v), said to be %d bytes", c.pairs, files, err, dataBytes(v))
		}
		groups, heaviest := naive(t, in), int64(0)
		for k, g := range groups {
			heaviest = max(heaviest, g.Count)
			if f := g.F * 1024; f != float64(int64(f)) || g.V < 100*g.Count || g.V >= 228*g.Count {
				t.Fatalf("%v: group %s: %+v", c.pairs, k, g)
			}
		}
		if len(groups) < c.min || len(groups) > c.max || heaviest < c.heaviest/2 || heaviest > c.heaviest*3/2+1 {
			t.Errorf("%v: %d groups, the heaviest of %d rows", c.pairs, len(groups), heaviest)
		}
	}
}

// A table of the user's own, with other columns, quotes and any fractions.
func TestInputOfTheUsersOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sales.csv")
	text := "amount,price,note,product\n3,0.1,,\"tea, green\"\n4,0.7,x,coffee\n-5,1e300,,\"tea, green\"\n007,2.5,,\n"
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	v := values(t, "key", "string", "key-column", "product", "value-column", "amount", "measure-column", "price", "cached", "true")
	in := workloads.Input{Paths: []string{path}}
	s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run1 := func(in workloads.Input, v workloads.Values) (*workloads.Answer, error) {
		built, err := build(s, v, in)
		if err != nil {
			return nil, err
		}
		if err := prepare(t.Context(), s, built, v); err != nil {
			return nil, err
		}
		a, err := run(t.Context(), s, built, v, "")
		if err == nil && a.Rest != nil {
			err = a.Rest(t.Context())
		}
		return a, err
	}
	a, err := run1(in, v)
	if err != nil {
		t.Fatal(err)
	}
	if got := failed(t, v, in, a); got != "" || a.Records != 3 {
		t.Errorf("%d groups; the verifier objects to %q", a.Records, got)
	}
	if _, err := run1(in, values(t)); err == nil || !strings.Contains(err.Error(), `"id"`) || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing column: %v", err)
	}
	if _, err := run1(in, values(t, "key-column", "product", "value-column", "amount", "measure-column", "price")); err == nil || !strings.Contains(err.Error(), "tea, green") {
		t.Errorf("a text as a number: %v", err)
	}
	if _, err := verify(t.Context(), workloads.Gen{}, values(t), in, a); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("verifying against a missing column: %v", err)
	}
}

// A table without rows, with a header or without, has no groups.
func TestNoRows(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"header.csv": "id,v,f\n", "empty.csv": ""} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		in := workloads.Input{Paths: []string{path}}
		for _, key := range []string{"int", "string"} {
			v := values(t, "key", key)
			s, err := engine.Open(engine.Config{Cores: 2, Memory: 64 * units.MiB, Temp: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			built, err := build(s, v, in)
			if err != nil {
				t.Fatal(err)
			}
			a, err := run(t.Context(), s, built, v, "")
			if err != nil {
				t.Fatal(err)
			}
			if said := failed(t, v, in, a); said != "" || a.Records != 0 {
				t.Errorf("%s, key %s: %d groups, %s", name, key, a.Records, said)
			}
		}
	}
}

// Cached or not, the answer is one; what verifies it is computed in the clock's
// time only where it is what uses the groups.
func TestCachedAnswersTheSame(t *testing.T) {
	for _, key := range []string{"int", "string"} {
		v := values(t, "rows", "50000", "keys", "3000", "key", key)
		in := generated(t, workloads.Gen{}, v)
		want := ""
		for _, cached := range []string{"false", "true"} {
			s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Set("cached", cached); err != nil {
				t.Fatal(err)
			}
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
			if (a.Rest != nil) != (cached == "true") {
				t.Errorf("%s keys, cached %s: the digest is left to Rest: %v", key, cached, a.Rest != nil)
			}
			if a.Rest != nil {
				groups := a.Records
				if err := a.Rest(t.Context()); err != nil || a.Records != groups {
					t.Fatalf("%d groups counted, %d digested: %v", groups, a.Records, err)
				}
			}
			if got := failed(t, v, in, a); got != "" || want != "" && a.Checksum != want {
				t.Errorf("%s keys, cached %s: checksum %s, want %s; the verifier objects to %q", key, cached, a.Checksum, want, got)
			}
			want = a.Checksum
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
