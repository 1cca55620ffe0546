package workloads

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
)

// whole returns a workload that can be registered.
func whole(name string) *Workload {
	w := sample()
	w.Name, w.Summary = name, "a sample"
	w.Build = func(*engine.Session, Values, Input) (any, error) { return nil, nil }
	w.Run = func(context.Context, *engine.Session, any, Values, string) (*Answer, error) { return &Answer{}, nil }
	w.Verify = func(context.Context, Gen, Values, Input, *Answer) (*Verdict, error) { return &Verdict{OK: true}, nil }
	return w
}

func TestRegistry(t *testing.T) {
	b, a := whole("registry-b"), whole("registry-a")
	Register(b)
	Register(a)
	if w, err := Get("registry-a"); err != nil || w != a {
		t.Errorf("Get: %v, %v", w, err)
	}
	if _, err := Get("registry-c"); err == nil || err.Error() != `there is no workload "registry-c"; did you mean "registry-a"?` {
		t.Errorf("Get of an unknown name: %v", err)
	}
	if _, err := Get("something-else"); err == nil || !strings.Contains(err.Error(), "registry-a, registry-b") {
		t.Errorf("Get of a name like no other: %v", err)
	}
	if all := All(); slices.Index(all, a)+1 != slices.Index(all, b) {
		t.Errorf("All is not ordered by name: %v", all)
	}
	if !slices.Contains(engine.Programs(), "workload/registry-a") {
		t.Errorf("the workload is no program of the engine: %v", engine.Programs())
	}
}

func TestRegisterRefuses(t *testing.T) {
	Register(whole("registry-taken"))
	for name, spoil := range map[string]func(w *Workload){
		`twice for workload "registry-taken"`: func(w *Workload) { w.Name = "registry-taken" },
		"lower-case":                          func(w *Workload) { w.Name = "Bad Name" },
		"needs Summary":                       func(w *Workload) { w.Summary = "" },
		"needs Summary, Build":                func(w *Workload) { w.Build = nil },
		"needs Summary, Build, Run":           func(w *Workload) { w.Run = nil },
		"and Verify":                          func(w *Workload) { w.Verify = nil },
		"Generate and DataBytes":              func(w *Workload) { w.DataBytes = func(Values) int64 { return 1 } },
		`"size" is badly named or there twice`: func(w *Workload) {
			w.Params = append(w.Params, Param{Name: "size", Kind: Int, Default: "1", Doc: "d"})
		},
		"has no doc text": func(w *Workload) { w.Params = []Param{{Name: "n", Kind: Int, Default: "1"}} },
		"default: cannot set n to 0": func(w *Workload) {
			w.Params = []Param{{Name: "n", Kind: Int, Default: "0", Min: "1", Doc: "d"}}
		},
	} {
		w := whole("registry-spoilt")
		spoil(w)
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), name) {
					t.Errorf("want a panic about %s, got %v", name, r)
				}
			}()
			Register(w)
		}()
	}
}

func TestParamsTravelAsData(t *testing.T) {
	w := whole("codec")
	v := w.Values()
	for name, text := range map[string]string{"size": "7MB", "note": "a\x00b\xff", "exponent": "0.1", "ascii": "true", "length": "1ns"} {
		if err := v.Set(name, text); err != nil {
			t.Fatal(err)
		}
	}
	in := Input{Paths: []string{"/a b", "c\xff\n"}, Generated: true, Checksum: "beef"}
	b := encodeParams(v, in)
	if again := encodeParams(v.Clone(), in); !bytes.Equal(b, again) {
		t.Error("equal choices are encoded differently")
	}
	got, gotIn, err := decodeParams(w, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range w.Params {
		if got.Text(p.Name) != v.Text(p.Name) {
			t.Errorf("%s comes back as %q, want %q", p.Name, got.Text(p.Name), v.Text(p.Name))
		}
	}
	if !slices.Equal(gotIn.Paths, in.Paths) || gotIn.Generated != in.Generated || gotIn.Checksum != in.Checksum {
		t.Errorf("the input comes back as %+v", gotIn)
	}
	for n := range b {
		if _, _, err := decodeParams(w, b[:n]); err == nil {
			t.Errorf("%d of %d bytes are decoded without error", n, len(b))
		}
	}
	if _, _, err := decodeParams(w, append(b, 0)); !errors.Is(err, errParams) {
		t.Errorf("a byte too many: %v", err)
	}
	b[0]++
	if _, _, err := decodeParams(w, b); !errors.Is(err, errParams) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzDecodeParams(f *testing.F) {
	w := whole("codec")
	f.Add(encodeParams(w.Values(), Input{Paths: []string{"x"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, in, err := decodeParams(w, b)
		if err != nil {
			return
		}
		v2, in2, err := decodeParams(w, encodeParams(v, in))
		if err != nil || !slices.Equal(in.Paths, in2.Paths) || v2.Text("size") != v.Text("size") {
			t.Errorf("what was decoded does not travel: %v", err)
		}
	})
}

func TestVerdict(t *testing.T) {
	var v Verdict
	v.Note("n", "5")
	v.Expect("a", "1", "1")
	if !v.OK || len(v.Failed()) != 0 {
		t.Errorf("%+v", v)
	}
	v.Expect("b", "1", "2")
	v.Judge("c", true, "x", "y")
	if v.OK || len(v.Failed()) != 1 || v.Failed()[0].Name != "b" {
		t.Errorf("%+v", v)
	}
	v.Judge("d", false, "x", "x")
	if len(v.Failed()) != 2 {
		t.Errorf("%+v", v)
	}
}
