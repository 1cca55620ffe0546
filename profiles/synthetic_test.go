package profiles

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/pprof/profile"
)

// synthetic makes a processor profile at random, always the same for a seed:
// stacks that recurse, inlined frames, locations without a symbol, labels on
// some samples. tilt makes function 0 that much more frequent.
func synthetic(seed uint64, samples, tilt int) *profile.Profile {
	r := rand.New(rand.NewPCG(seed, 1))
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10e6, TimeNanos: 1, DurationNanos: 2e9,
	}
	p.Mapping = []*profile.Mapping{{ID: 1, Start: 0x1000, Limit: 0x9000, File: "/bin/program", HasFunctions: true, HasFilenames: true, HasLineNumbers: true}}
	for i := range 12 {
		name := fmt.Sprintf("main.f%d", i)
		if i == 11 {
			name = "main.f10" // the same name in another file
		}
		p.Function = append(p.Function, &profile.Function{ID: uint64(i + 1), Name: name, SystemName: name, Filename: fmt.Sprintf("/src/./f%d.go", i)})
	}
	for i := range 30 {
		l := &profile.Location{ID: uint64(i + 1), Address: 0x1000 + uint64(i), Mapping: p.Mapping[0]}
		for range i % 3 {
			l.Line = append(l.Line, profile.Line{Function: p.Function[r.IntN(12)], Line: int64(1 + r.IntN(4))})
		}
		p.Location = append(p.Location, l)
	}
	hot := &profile.Location{ID: 31, Address: 0x8000, Mapping: p.Mapping[0], Line: []profile.Line{{Function: p.Function[0], Line: 9}}}
	p.Location = append(p.Location, hot)
	for i := range samples + tilt {
		s := &profile.Sample{}
		n := 1 + int64(r.IntN(5))
		s.Value = []int64{n, n * p.Period}
		for range 1 + r.IntN(14) {
			s.Location = append(s.Location, p.Location[r.IntN(30)])
		}
		if i >= samples {
			s.Location[0] = hot
		}
		if r.IntN(3) > 0 {
			s.Label = map[string][]string{"stage": {fmt.Sprintf("%d.0", 4+r.IntN(3))}, "job": {"2"}}
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

// write puts a profile into a new file.
func write(t testing.TB, p *profile.Profile) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p.pb.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// read reads it back.
func read(t testing.TB, path string) *profile.Profile {
	t.Helper()
	p, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
