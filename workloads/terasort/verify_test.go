package terasort

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/workloads"
)

// sorted returns the records of the file at path in the order of their keys.
func sorted(t *testing.T, path string) []Record {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	recs := make([]Record, len(data)/recordSize)
	for i := range recs {
		recs[i] = Record(data[i*recordSize:])
	}
	slices.SortFunc(recs, func(a, b Record) int { return bytes.Compare(a[:keySize], b[:keySize]) })
	return recs
}

// write puts records into files part-00000 and so on, of perFile each.
func write(t *testing.T, recs []Record, perFile int) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i*perFile < len(recs); i++ {
		var data []byte
		for _, r := range recs[i*perFile : min((i+1)*perFile, len(recs))] {
			data = append(data, r[:]...)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part-%05d", i)), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "_SUCCESS"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func verdict(t *testing.T, dir string, in *workloads.Input) *workloads.Verdict {
	t.Helper()
	v, err := verifyDir(t.Context(), workloads.Gen{Cores: 2, Memory: 1}, Workload.Values(), dir, in)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wrong returns the names of the checks that failed.
func wrong(v *workloads.Verdict) string {
	var names []string
	for _, c := range v.Failed() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	const n = 2*blockRecords + 100 // more than two ranges
	input := generated(t, workloads.Gen{}, values(t, "records", fmt.Sprint(n)))
	in := &workloads.Input{Paths: []string{input}}
	for _, c := range []struct {
		name  string
		fault func(r []Record) []Record
		want  string
	}{
		{"none", func(r []Record) []Record { return r }, ""},
		{"two neighbours swapped", func(r []Record) []Record { r[5], r[6] = r[6], r[5]; return r }, "order within and across files"},
		{"two records at the border of two ranges swapped", func(r []Record) []Record {
			r[blockRecords-1], r[blockRecords] = r[blockRecords], r[blockRecords-1]
			return r
		}, "order within and across files"},
		{"two records at the border of two files swapped", func(r []Record) []Record { r[6999], r[7000] = r[7000], r[6999]; return r }, "order within and across files"},
		{"first and last swapped", func(r []Record) []Record { r[0], r[n-1] = r[n-1], r[0]; return r }, "order within and across files"},
		{"one dropped", func(r []Record) []Record { return slices.Delete(r, 100, 101) }, "records, checksum"},
		{"last dropped", func(r []Record) []Record { return r[:n-1] }, "records, checksum"},
		{"one doubled", func(r []Record) []Record { return slices.Insert(r, 100, r[100]) }, "records, checksum"},
		{"one replaced by its neighbour", func(r []Record) []Record { r[100] = r[101]; return r }, "checksum"},
		{"a payload bit flipped", func(r []Record) []Record { r[100][99] ^= 1; return r }, "checksum"},
		{"payloads of two records exchanged", func(r []Record) []Record {
			a, b := r[10], r[11]
			copy(r[10][keySize:], b[keySize:])
			copy(r[11][keySize:], a[keySize:])
			return r
		}, "checksum"},
		{"all lost", func(r []Record) []Record { return nil }, "records, checksum"},
	} {
		dir := write(t, c.fault(sorted(t, input)), 7000)
		v := verdict(t, dir, in)
		if got := wrong(v); got != c.want || v.OK != (c.want == "") {
			t.Errorf("%s: verifier objects to %q, want %q", c.name, got, c.want)
		}
	}
}

// A whole file out of its place is an error across files alone.
func TestVerifierSeesTheOrderOfFiles(t *testing.T) {
	input := generated(t, workloads.Gen{}, values(t, "records", "3000"))
	dir := write(t, sorted(t, input), 1000)
	in := &workloads.Input{Paths: []string{input}}
	if v := verdict(t, dir, in); !v.OK {
		t.Fatalf("right output judged wrong: %v", v.Failed())
	}
	name := func(s string) string { return filepath.Join(dir, s) }
	for _, mv := range [][2]string{{"part-00000", "x"}, {"part-00001", "part-00000"}, {"x", "part-00001"}} {
		if err := os.Rename(name(mv[0]), name(mv[1])); err != nil {
			t.Fatal(err)
		}
	}
	v := verdict(t, dir, in)
	if got := wrong(v); got != "order within and across files" {
		t.Fatalf("files exchanged: verifier objects to %q", got)
	}
	if got := v.Failed()[0].Got; !strings.Contains(got, "1 records out of order") || !strings.Contains(got, "record 1000, number 0 of "+name("part-00001")) {
		t.Errorf("files exchanged: %s", got)
	}
}

func TestVerifierComparesWithTheJobsOwnCount(t *testing.T) {
	input := generated(t, workloads.Gen{}, values(t, "records", "1000"))
	dir := write(t, sorted(t, input), 1000)
	a := &workloads.Answer{Dir: dir, Records: 1000}
	check := func() string {
		v, err := verify(t.Context(), workloads.Gen{}, Workload.Values(), workloads.Input{Paths: []string{input}}, a)
		if err != nil {
			t.Fatal(err)
		}
		return wrong(v)
	}
	if got := check(); got != "" || a.Checksum != "1ea6370b955" {
		t.Errorf("right answer: verifier objects to %q, checksum %s", got, a.Checksum)
	}
	a.Records = 999
	if got := check(); got != "records as the job counted them" {
		t.Errorf("wrong count: verifier objects to %q", got)
	}
}

func TestVerifierCountsDuplicateKeys(t *testing.T) {
	input := generated(t, workloads.Gen{}, values(t, "records", "1000"))
	recs := sorted(t, input)
	recs = slices.Insert(recs, 500, recs[500], recs[500]) // three of one key, across two files below
	v := verdict(t, write(t, recs, 501), nil)
	if !v.OK {
		t.Errorf("duplicates judged wrong: %v", v.Failed())
	}
	for _, c := range v.Checks {
		if c.Name == "duplicate keys" && c.Got != "2" {
			t.Errorf("found %s duplicate keys, want 2", c.Got)
		}
	}
}

// Like valsort, the summary of the whole is that of its parts joined.
func TestSummariesJoin(t *testing.T) {
	data := make([]byte, 100*recordSize)
	putBinary(data, u128{}) // unordered on purpose
	copy(data[31*recordSize:32*recordSize], data[30*recordSize:])
	want := summarize(data)
	if want.unordered == 0 || want.duplicates != 1 {
		t.Fatalf("the data are no test: %+v", want)
	}
	for _, at := range []int{0, 1, 30, 31, 32, 99, 100} {
		got := summarize(data[:at*recordSize])
		got.join(summarize(data[at*recordSize:]))
		if got != want {
			t.Errorf("joined at %d: %+v, want %+v", at, got, want)
		}
	}
}

func TestFilesThatAreNotRecords(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "part-00000")
	if err := os.WriteFile(path, make([]byte, 250), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := verifyDir(t.Context(), workloads.Gen{}, Workload.Values(), dir, nil)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "50 over") {
		t.Errorf("half a record: %v", err)
	}
	_, err = verifyDir(t.Context(), workloads.Gen{}, Workload.Values(), filepath.Join(dir, "none"), nil)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "none")) {
		t.Errorf("no folder: %v", err)
	}
}
