package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// lines is a workload for the tests of the command line: small, quick, and
// able to fail in every way that a run can.
func lines() *workloads.Workload {
	return &workloads.Workload{
		Name: "lines", Summary: "copy lines, or fail as told", Stresses: "nothing",
		Doc: "Copies numbered lines.\n\n  execbench run lines --records 10",
		Params: []workloads.Param{
			{Name: "records", Kind: workloads.Int, Default: "1000", Min: "1", Max: "1000000", Data: true, Doc: "lines of input"},
			{Name: "seed", Kind: workloads.Int, Default: "0", Min: "0", Data: true, Doc: "first number"},
			{Name: "claim", Kind: workloads.Bytes, Default: "0", Min: "0", Doc: "bytes that the generator says it will write; 0: the truth"},
			{Name: "partitions", Kind: workloads.Int, Default: "2", Min: "1", Max: "64", Doc: "tasks"},
			{Name: "fault", Kind: workloads.String, Default: "none", Choices: []string{"none", "wrong", "panic", "wait", "stuck", "verifier"}, Doc: "what goes wrong"},
		},
		DataBytes: func(v workloads.Values) int64 { return max(10*v.Int("records"), int64(v.Bytes("claim"))) },
		Generate: func(_ context.Context, g workloads.Gen, v workloads.Values, dir string) error {
			var b strings.Builder
			for i := range v.Int("records") {
				fmt.Fprintf(&b, "%09d\n", v.Int("seed")+i)
			}
			g.Meter(int64(b.Len())).Add(int64(b.Len()))
			return os.WriteFile(filepath.Join(dir, "lines-0"), []byte(b.String()), 0o666)
		},
		Build: func(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
			text, err := engine.TextFiles(s, in.Paths, int(v.Int("partitions")))
			if err != nil {
				return nil, err
			}
			fault := v.String("fault")
			kept := engine.MapBatches(text, func(t *engine.Task, dst, src []string) ([]string, error) {
				switch fault {
				case "panic":
					panic("planted")
				case "wait":
					fmt.Fprintln(os.Stderr, "waiting")
					<-t.Context().Done()
					return nil, context.Cause(t.Context())
				case "stuck":
					fmt.Fprintln(os.Stderr, "waiting")
					<-make(chan struct{}) // whoever kills it
				}
				return append(dst, src...), nil
			})
			return engine.TextSink(kept, func(dst []byte, l string) []byte { return append(dst, l...) }), nil
		},
		Run: func(ctx context.Context, _ *engine.Session, built any, v workloads.Values, out string) (*workloads.Answer, error) {
			w, err := built.(*engine.Sink).Write(ctx, out)
			if err != nil {
				return nil, err
			}
			if v.String("fault") == "wrong" {
				if err := os.WriteFile(filepath.Join(out, "part-99999"), []byte("1\n"), 0o666); err != nil {
					return nil, err
				}
			}
			return &workloads.Answer{Dir: out, Records: w.Records, Bytes: w.Bytes, Figures: []workloads.Figure{{Name: "lines", Value: float64(w.Records), Unit: "1"}}}, nil
		},
		Verify: func(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
			if v.String("fault") == "verifier" {
				return nil, errors.New("planted")
			}
			verdict, err := verifyLines(a.Dir, &in)
			a.Checksum = fmt.Sprint(a.Records)
			return verdict, err
		},
		VerifyDir: func(_ context.Context, _ workloads.Gen, _ workloads.Values, dir string, in *workloads.Input) (*workloads.Verdict, error) {
			return verifyLines(dir, in)
		},
	}
}

// verifyLines counts.
func verifyLines(dir string, in *workloads.Input) (*workloads.Verdict, error) {
	out, err := workloads.OutputFiles(dir)
	if err != nil {
		return nil, err
	}
	got, err := countLines(out)
	if err != nil {
		return nil, err
	}
	v := &workloads.Verdict{}
	v.Judge("any lines", got > 0, "some", fmt.Sprint(got))
	if in != nil {
		files, err := workloads.InputFiles(in.Paths)
		if err != nil {
			return nil, err
		}
		want, err := countLines(files)
		if err != nil {
			return nil, err
		}
		v.Expect("lines", fmt.Sprint(want), fmt.Sprint(got))
	}
	return v, nil
}

func countLines(files []workloads.File) (n int, err error) {
	for _, f := range files {
		r, err := os.Open(f.Path)
		if err != nil {
			return 0, err
		}
		for s := bufio.NewScanner(r); s.Scan(); {
			n++
		}
		if err := r.Close(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// silent is a workload without input and without output files.
func silent() *workloads.Workload {
	return &workloads.Workload{
		Name: "silent", Summary: "count to a number", Stresses: "nothing", Doc: "Counts.",
		Params: []workloads.Param{{Name: "length", Kind: workloads.Duration, Default: "0s", Min: "0s", Max: "1m", Doc: "of no matter"}},
		Build: func(s *engine.Session, _ workloads.Values, _ workloads.Input) (any, error) {
			return engine.Range(s, 1000, 3), nil
		},
		Run: func(ctx context.Context, _ *engine.Session, built any, _ workloads.Values, _ string) (*workloads.Answer, error) {
			n, err := built.(*engine.Dataset[int64]).Count(ctx)
			return &workloads.Answer{Records: n, Checksum: fmt.Sprint(n)}, err
		},
		Verify: func(_ context.Context, _ workloads.Gen, _ workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
			v := &workloads.Verdict{}
			v.Expect("records", "1000", fmt.Sprint(a.Records))
			return v, nil
		},
		Measure: func(context.Context, *engine.Session, workloads.Values) ([]workloads.Figure, error) {
			return []workloads.Figure{{Name: "measured", Value: time.Millisecond.Seconds(), Unit: "s"}}, nil
		},
	}
}
