package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// starters are the files in which a goroutine may begin, each with who
// joins it. A new one belongs into engine/doc.go's list too.
var starters = map[string]string{
	"engine/event/pump.go":         "the writer of an event file: File.Close, SparkLog.Close",
	"engine/event/queue.go":        "the dispatcher of a listener queue: Queue.Stop",
	"engine/executor/worker.go":    "the worker pool: Executor.Close",
	"engine/scheduler/driver.go":   "result getters and the timer: Driver.Close",
	"engine/sampler.go":            "housekeeping: Session.Close",
	"engine/stream.go":             "the job behind Batches: the caller's loop",
	"bench/peers/limit/threads.go": "the limit programs' threads: both",
	"bench/peers/limit/tasks.go":   "the ways to hand out tasks: each joins its own",
	"workloads/parallel.go":        "generators and verifiers: Each",
	"cmd/cli/signal.go":            "signals: stop",
	"cmd/cli/progress.go":          "the progress line: progress.close",
}

// starts returns the places of a file where a goroutine begins: go
// statements, and calls of a method Go with a function.
func (s *source) starts() []string {
	var at []string
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			at = append(at, s.at(n))
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(n.Args) == 1 {
				at = append(at, s.at(n))
			}
		}
		return true
	})
	return at
}

func TestGoroutinesBeginWhereTheListSays(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, at := range s.starts() {
			used[s.file] = true
			if starters[s.file] == "" {
				t.Errorf("%s: a goroutine begins here; whoever owns it must join it and stand in the list", at)
			}
		}
	}
	for file := range starters {
		if !used[file] {
			t.Errorf("%s is in the list and begins no goroutine", file)
		}
	}
}

// ban is a call, or a whole package's functions, that some code may not use.
type ban struct {
	calls  []string // "time.Now"; "fmt.Print*" stands for all that begin so
	where  []string // folders; "." is the whole module
	except []string // files
	why    string
}

var bans = []ban{
	{calls: []string{"fmt.Print*", "log.*", "os.Exit"}, where: []string{"engine", "workloads", "bench"},
		except: []string{"bench/conformance/main.go", "bench/peers/main.go", "bench/peers/limit/main.go"}, // commands
		why:    "libraries neither print nor end the process: return an error, or use the Logger of the Config"},
	{calls: []string{"time.Now", "time.Since", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.AfterFunc", "time.Tick"},
		where: []string{"engine/scheduler", "engine/plan"}, except: []string{"engine/scheduler/driver.go", "engine/scheduler/results.go"}, // the driver's goroutines
		why: "the scheduler's core gets its time from its caller"},
	{calls: []string{"rand.Int*", "rand.N", "rand.Uint*", "rand.Shuffle", "rand.Perm", "rand.Float*"},
		where: []string{"engine/scheduler", "engine/plan"}, why: "decisions repeat: use a seeded source"},
	{calls: []string{"pprof.StartCPUProfile", "pprof.StopCPUProfile", "pprof.WriteHeapProfile", "pprof.Lookup", "pprof.Profiles", "trace.Start", "trace.NewFlightRecorder",
		"runtime.SetBlockProfileRate", "runtime.SetCPUProfileRate", "fgprof.*", "net/http/pprof"}, where: []string{"."},
		why: "whole-run profiles are pkg/profile's, in package profiles"},
	{calls: []string{"runtime.SetMutexProfileFraction", "runtime.MemProfileRate", "profile.Start"}, where: []string{"."}, except: []string{"profiles/capture.go"},
		why: "whole-run profiles begin in package profiles"},
	{calls: []string{"runtime.GOMAXPROCS", "debug.SetMemoryLimit", "debug.SetGCPercent", "signal.Notify", "os.Chdir", "os.Setenv"}, where: []string{"engine", "workloads"},
		except: []string{"engine/session.go"}, // asks how many processors there are
		why:    "a library leaves its host process alone"},
	{calls: []string{"text/tabwriter"}, where: []string{"."}, why: "tables are tablewriter's"},
}

// padding is a verb that pads text to a width: %-20s, %8v, %*s. Numbers may be
// padded with zeros, as in names of files.
var padding = regexp.MustCompile(`%[-+# ]*([1-9][0-9]*|\*)(\.[0-9*]+)?[svqdfgex]`)

// padded returns the formats of a file that draw columns by hand.
func (s *source) padded() []string {
	var found []string
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok || s.imports[pkg.Name] != "fmt" {
			return true
		}
		for _, arg := range call.Args {
			if lit, ok := arg.(*ast.BasicLit); ok && lit.Kind == token.STRING && padding.MatchString(lit.Value) {
				found = append(found, s.at(lit)+" pads text by hand: "+lit.Value)
			}
		}
		return true
	})
	return found
}

// Columns are tablewriter's, everywhere.
func TestNobodyDrawsTablesByHand(t *testing.T) {
	for _, s := range sources(t) {
		for _, f := range s.padded() {
			t.Error(f)
		}
	}
	for text, want := range map[string]int{"%-20s": 1, "%8d|": 1, "%*s": 1, "%6.2f": 1, "%d %s %.3f %x": 0, "%08x": 0, "%+v": 0, "100%% s": 0} {
		s, err := parse("bench/x.go", []byte("package x\nimport \"fmt\"\nvar s = fmt.Sprintf(\""+text+"\", 1)"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.padded(); len(got) != want {
			t.Errorf("%q: found %v, want %d", text, got, want)
		}
	}
}

// pureImports may not be imported by the scheduler and by plan, but for the
// files that are their edge to the world.
var pureImports = map[string][]string{
	"sync":          {"engine/scheduler/mailbox.go"},
	"os":            nil,
	"io":            nil,
	"net":           nil,
	"context":       {"engine/scheduler/driver.go"},
	"os/signal":     nil,
	"path/filepath": nil,
}

func (b *ban) holdsFor(s *source) bool {
	return (under(s.pkg, b.where...) || slices.Contains(b.where, ".")) && !slices.Contains(b.except, s.file)
}

// banned returns what a file uses against the rules.
func (s *source) banned() []string {
	var found []string
	for _, b := range bans {
		if !b.holdsFor(s) {
			continue
		}
		for _, p := range s.imports {
			if slices.Contains(b.calls, p) {
				found = append(found, s.file+" imports "+p+": "+b.why)
			}
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			path, imported := s.imports[pkg.Name]
			if !imported {
				return true
			}
			call := lastPart(path) + "." + sel.Sel.Name
			for _, c := range b.calls {
				if prefix, all := strings.CutSuffix(c, "*"); c == call || all && strings.HasPrefix(call, prefix) {
					found = append(found, s.at(n)+" uses "+call+": "+b.why)
				}
			}
			return true
		})
	}
	if under(s.pkg, "engine/scheduler", "engine/plan") {
		for _, p := range s.imports {
			if except, pure := pureImports[p]; pure && !slices.Contains(except, s.file) {
				found = append(found, s.file+" imports "+p+": the core does no I/O and holds no lock")
			}
		}
	}
	return found
}

// lastPart is the name of a standard package; math/rand/v2's is rand.
func lastPart(path string) string {
	path = strings.TrimSuffix(path, "/v2")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func TestBannedCalls(t *testing.T) {
	for _, s := range sources(t) {
		for _, f := range s.banned() {
			t.Error(f)
		}
	}
}

// What the rules are there for is found.
func TestRulesFind(t *testing.T) {
	f := func(file, text string, starts, banned int) {
		t.Helper()
		s, err := parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.starts(); len(got) != starts {
			t.Errorf("%s: goroutines at %v, want %d", file, got, starts)
		}
		if got := s.banned(); len(got) != banned {
			t.Errorf("%s: found %v, want %d", file, got, banned)
		}
	}
	f("engine/x.go", "package x\nfunc f() { go f() }", 1, 0)
	f("engine/x.go", "package x\nimport \"sync\"\nfunc f() { var w sync.WaitGroup; w.Go(f) }", 1, 0)
	f("engine/x.go", "package x\nimport \"fmt\"\nfunc f() { fmt.Println(1); fmt.Sprint(2) }", 0, 1)
	f("engine/x.go", "package x\nimport l \"log\"\nfunc f() { l.Fatal() }", 0, 1)
	f("cmd/cli/x.go", "package x\nimport \"os\"\nfunc f() { os.Exit(1) }", 0, 0)
	f("engine/scheduler/core.go", "package x\nimport \"time\"\nvar d time.Duration\nfunc f() { time.Now() }", 0, 1)
	f("engine/scheduler/driver.go", "package x\nimport \"time\"\nfunc f() { time.NewTimer(1) }", 0, 0)
	f("engine/scheduler/core.go", "package x\nimport \"sync\"\nvar m sync.Mutex", 0, 1)
	f("engine/scheduler/core.go", "package x\nimport \"math/rand/v2\"\nfunc f() { rand.IntN(3); rand.New(nil) }", 0, 1)
	f("engine/plan/x.go", "package x\nimport \"io\"\nvar r io.Reader", 0, 1)
	f("bench/x.go", "package x\nimport \"runtime/pprof\"\nfunc f() { pprof.StartCPUProfile(nil); pprof.Do(nil, nil, nil) }", 0, 1)
	f("examples/x.go", "package x\nimport \"runtime\"\nfunc f() { runtime.SetBlockProfileRate(1); runtime.GC() }", 0, 1)
	f("bench/x.go", "package x\nimport p \"github.com/pkg/profile\"\nfunc f() { p.Start() }", 0, 1)
	f("profiles/capture.go", "package x\nimport p \"github.com/pkg/profile\"\nfunc f() { p.Start() }", 0, 0)
	f("profiles/x.go", "package x\nimport \"runtime/trace\"\nfunc f() { trace.Start(nil); trace.IsEnabled() }", 0, 1)
	f("cmd/cli/x.go", "package x\nimport \"text/tabwriter\"\nvar w tabwriter.Writer", 0, 1)
}
