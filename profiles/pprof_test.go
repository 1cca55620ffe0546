package profiles

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// toolRow is a row of "go tool pprof -top".
type toolRow struct{ flat, cum int64 }

var (
	toolTotal = regexp.MustCompile(`(?m)^Showing nodes accounting for .* of (-?\d+)\w* total$`)
	toolLine  = regexp.MustCompile(`(?m)^ *(-?\d+)\w* +\S+% +\S+% +(-?\d+)\w* +\S+%  (.*)$`)
	inlined   = regexp.MustCompile(` \((partial-)?inline\)$`)
)

// tool asks the real tool for every row, in base units.
func tool(t *testing.T, args ...string) (rows map[string]toolRow, total int64) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", append([]string{"tool", "pprof", "-top", "-symbolize=none", "-nodecount=1000000", "-nodefraction=0", "-edgefraction=0", "-unit=minimum"}, args...)...)
	c.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
	for i, a := range c.Args {
		if a == "-unit=minimum" {
			c.Args[i] = "-unit=nanoseconds" // counts stay counts; bytes are told by the caller
		}
	}
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, errs.String())
	}
	rows = map[string]toolRow{}
	m := toolTotal.FindSubmatch(out)
	if m == nil {
		t.Fatalf("go tool pprof says no total:\n%s", out)
	}
	total, _ = strconv.ParseInt(string(m[1]), 10, 64)
	for _, m := range toolLine.FindAllStringSubmatch(string(out), -1) {
		flat, ferr := strconv.ParseInt(m[1], 10, 64)
		cum, cerr := strconv.ParseInt(m[2], 10, 64)
		if ferr != nil || cerr != nil {
			t.Fatalf("cannot read %q", m[0])
		}
		rows[inlined.ReplaceAllString(m[3], "")] = toolRow{flat, cum}
	}
	return rows, total
}

// haveTool skips a test where Go's own tools are not there.
func haveTool(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not in the path")
	}
}

// agree compares a Top with the tool's.
func agree(t *testing.T, path string, o Options, args ...string) {
	t.Helper()
	top, err := NewTop(read(t, path), o)
	if err != nil {
		t.Fatal(err)
	}
	rows, total := tool(t, append(args, path)...)
	if top.Total != total {
		t.Errorf("%s %v: total %d, the tool says %d", path, args, top.Total, total)
	}
	if len(top.Rows) == 0 || len(top.Rows) != len(rows) {
		t.Errorf("%s %v: %d rows, the tool has %d", path, args, len(top.Rows), len(rows))
	}
	for _, r := range top.Rows {
		if got := rows[r.Name]; got != (toolRow{r.Flat, r.Cum}) {
			t.Errorf("%s %v: %s has %d, %d; the tool says %+v", path, args, r.Name, r.Flat, r.Cum, got)
		}
	}
}

func TestTopIsThatOfGoToolPprof(t *testing.T) {
	haveTool(t)
	path := write(t, synthetic(7, 400, 0))
	agree(t, path, Options{})
	agree(t, path, Options{Sample: "samples"}, "-sample_index=samples")
	agree(t, path, Options{By: Line}, "-lines")
	agree(t, path, Options{Where: Where{"stage", "5.0"}}, "-tagfocus=stage=^5.0$")
}

func TestDiffIsThatOfGoToolPprof(t *testing.T) {
	haveTool(t)
	oldPath, newPath := write(t, synthetic(7, 400, 0)), write(t, synthetic(8, 500, 60))
	diff(t, oldPath, newPath)
}

func diff(t *testing.T, oldPath, newPath string, args ...string) {
	t.Helper()
	d := compare(t, read(t, oldPath), read(t, newPath), DiffOptions{})
	rows, total := tool(t, append(args, "-diff_base="+oldPath, newPath)...)
	if int64(d.Total.Old) != total {
		t.Errorf("the old total is %v, the tool says %d", d.Total.Old, total)
	}
	differ := 0
	for _, r := range d.Rows {
		want := toolRow{int64(r.Flat.Delta), int64(r.Cum.Delta)}
		if want != (toolRow{}) {
			differ++
		}
		if got := rows[r.Name]; got != want {
			t.Errorf("%s: differs by %+v, the tool says %+v", r.Name, want, got)
		}
	}
	if differ == 0 || differ != len(rows) {
		t.Errorf("%d rows differ, the tool has %d", differ, len(rows))
	}
}

// foreign is a program that knows nothing of this module. It works for so
// many milliseconds of processor time and writes profiles of that.
const foreign = `package main

import (
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

var sink [64][]byte

//go:noinline
func hash(n int) (h uint64) {
	for i := 0; i < n; i++ {
		h = h*31 + uint64(i)
	}
	return h
}

//go:noinline
func alloc(i int) { sink[i%len(sink)] = make([]byte, 100_000) }

func recurse(depth, n int) uint64 {
	if depth == 0 {
		return hash(n)
	}
	return recurse(depth-1, n) + 1
}

func main() {
	ms, _ := strconv.Atoi(os.Args[3])
	runtime.MemProfileRate = 4096
	f, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	sum := uint64(0)
	for end, i := time.Now().Add(time.Duration(ms)*time.Millisecond), 0; time.Now().Before(end); i++ {
		sum += recurse(i%5, 20_000)
		alloc(i)
	}
	pprof.StopCPUProfile()
	f.Close()
	runtime.GC()
	if f, err = os.Create(os.Args[2]); err != nil {
		panic(err)
	}
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		panic(err)
	}
	f.Close()
	if sum == 1 {
		println(sum)
	}
}
`

// A program that is not ours is read like any other.
func TestProfilesOfAnotherProgram(t *testing.T) {
	haveTool(t)
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "foreign")
	if err := os.WriteFile(source, []byte(foreign), 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(c *exec.Cmd) {
		t.Helper()
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c.Args, " "), err, out)
		}
	}
	run(exec.CommandContext(t.Context(), "go", "build", "-o", binary, source))
	paths := map[string]string{}
	for name, ms := range map[string]int64{"a": 200, "b": 400} {
		cpu, heap := filepath.Join(dir, name+"cpu"), filepath.Join(dir, name+"heap")
		run(exec.CommandContext(t.Context(), binary, cpu, heap, strconv.FormatInt(ms, 10)))
		paths[name+"cpu"], paths[name+"heap"] = cpu, heap
		agree(t, cpu, Options{})
		agree(t, heap, Options{Sample: "alloc_objects"}, "-sample_index=alloc_objects")
		agree(t, heap, Options{Sample: "alloc_space"}, "-sample_index=alloc_space", "-unit=B")
		agree(t, heap, Options{}, "-unit=B")
	}
	diff(t, paths["acpu"], paths["bcpu"])
	diff(t, paths["aheap"], paths["bheap"], "-unit=B")

	p := read(t, paths["bcpu"])
	top, err := NewTop(p, Options{ByCum: true})
	if err != nil {
		t.Fatal(err)
	}
	if d := top.Duration; d < 200*time.Millisecond || top.Events*float64(p.Period) != float64(top.Total) {
		t.Errorf("it took %v, of %v events make %d", d, top.Events, top.Total)
	}
	if _, err := NewTop(p, Options{By: Stage}); err == nil {
		t.Error("a profile without labels can be counted by stage")
	}
}
