package archtest

import (
	"slices"
	"strings"
	"testing"
)

// leaves may be imported by every package of the engine.
var leaves = []string{"engine/id", "engine/units", "engine/internal/invariant", "engine/internal/fsys"}

// mayImport says which packages of this module a package may import, beside
// the leaves. It is the drawing of the house: a new line, or a new name in
// one, is a decision about the design.
//
//	cmd → bench → workloads, profiles → engine
//	engine wires everything; only it knows both scheduler and executor
//	scheduler | executor     siblings, blind to each other
//	plan      | result, shuffle
//	            spill → storage → memory
//	codec, event, conf, source
//	id, units, task, block, internal/fsys, internal/invariant
var mayImport = map[string][]string{
	"engine/id":                 nil,
	"engine/units":              nil,
	"engine/internal/invariant": nil,
	"engine/internal/fsys":      nil,
	"engine/internal/sparklog":  nil,
	"engine/internal/archtest":  nil,
	"engine/block":              nil,
	"engine/task":               {"engine/block"},
	"engine/event":              {"engine/block", "engine/task"},
	"engine/conf":               nil,
	"engine/codec":              nil,
	"engine/source":             {"engine/task"},
	"engine/plan":               {"engine/block", "engine/task"},
	"engine/memory":             {"engine/event"},
	"engine/storage":            {"engine/block", "engine/codec", "engine/event", "engine/memory", "engine/task"},
	"engine/spill":              {"engine/block", "engine/codec", "engine/event", "engine/memory", "engine/storage", "engine/task"},
	"engine/shuffle":            {"engine/block", "engine/codec", "engine/event", "engine/memory", "engine/spill", "engine/storage", "engine/task"},
	"engine/result":             {"engine/block", "engine/event", "engine/storage", "engine/task"},
	"engine/scheduler":          {"engine/block", "engine/conf", "engine/event", "engine/plan", "engine/result", "engine/task"},
	"engine/executor":           {"engine/block", "engine/codec", "engine/conf", "engine/event", "engine/memory", "engine/result", "engine/shuffle", "engine/spill", "engine/storage", "engine/task"},
}

// layers hold for whole folders: what stands in one may import the engine's
// folders and the layers named.
var layers = []struct {
	folder string
	may    []string
}{
	{"engine", []string{"engine"}},
	{"profiles", nil},
	{"workloads", []string{"engine", "workloads"}},
	{"bench", []string{"engine", "workloads", "profiles", "bench"}},
	{"cmd/cli", []string{"engine", "workloads", "profiles", "bench", "cmd/cli"}},
	{"cmd/execbench", []string{"cmd/cli", "workloads/standard"}},
}

// allowed says why an import may not be; "" means that it may.
func allowed(from, to string) string {
	if from == to || strings.HasPrefix(to, "engine/enginetest") {
		return "a package imports itself, or a test helper"
	}
	if may, listed := mayImport[from]; listed {
		if slices.Contains(may, to) || slices.Contains(leaves, to) && !slices.Contains(leaves, from) || from == "engine/task" && to == "engine/id" {
			return ""
		}
		return "it is not in the list of what " + from + " may import"
	}
	if from != "engine" && strings.HasPrefix(from, "engine/") && from != "engine/enginetest" {
		return from + " is a new package of the engine: say in mayImport what it may import"
	}
	for _, l := range layers {
		if !under(from, l.folder) {
			continue
		}
		if under(to, l.may...) {
			return ""
		}
		return l.folder + " may import nothing of " + to
	}
	return from + " belongs to no layer"
}

func TestImportDirections(t *testing.T) {
	for _, s := range sources(t) {
		for _, p := range s.imports {
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			if why := allowed(s.pkg, to); why != "" {
				t.Errorf("%s imports %s: %s", s.file, to, why)
			}
		}
	}
}

// The rules are rules: what they are there for is refused.
func TestImportRulesRefuse(t *testing.T) {
	f := func(from, to string, ok bool) {
		t.Helper()
		if got := allowed(from, to); (got == "") != ok {
			t.Errorf("%s importing %s: %q", from, to, got)
		}
	}
	f("engine/scheduler", "engine/executor", false)
	f("engine/executor", "engine/scheduler", false)
	f("engine/executor", "engine/plan", false)
	f("engine/plan", "engine/memory", false)
	f("engine/memory", "engine/storage", false)
	f("engine/task", "engine/event", false)
	f("engine/task", "engine/id", true)
	f("engine/id", "engine/units", false)
	f("engine", "workloads", false)
	f("engine/event", "engine", false)
	f("engine/surprise", "engine/id", false)
	f("workloads/terasort", "bench", false)
	f("workloads/terasort", "engine", true)
	f("bench/report", "cmd/cli", false)
	f("bench", "workloads", true)
	f("cmd/execbench", "engine", false)
	f("cmd/cli", "bench/folder", true)
	f("engine", "engine/scheduler", true)
}

// Packages outside of the standard library, by who may use them.
func TestDependenciesAreInTheirPlaces(t *testing.T) {
	places := map[string][]string{
		"github.com/dgraph-io/ristretto/v2": {"engine/storage"},
		"github.com/pkg/profile":            {"profiles"},
		"github.com/olekukonko/tablewriter": {"bench/table", "bench/conformance", "bench/peers"},
		"github.com/schollz/progressbar/v3": {"cmd/cli"},
		"github.com/spf13/cobra":            {"cmd/cli"},
		"github.com/spf13/pflag":            {"cmd/cli"},
		"gonum.org/v1/gonum":                {"bench", "profiles"},
		"github.com/klauspost/compress":     {"engine/codec", "engine/source", "workloads"}, // a verifier reads compressed input in its own way
		"github.com/pierrec/lz4/v4":         {"engine/codec", "engine/source"},
		"github.com/google/pprof":           {"profiles"},
		"golang.org/x/perf":                 {"bench"},
		"github.com/rogpeppe/go-internal":   {},
		"go.uber.org/goleak":                {},
		"golang.org/x/term":                 {"cmd/cli"},
		"github.com/shirou/gopsutil/v4":     {"bench/machine", "engine"},
		"github.com/dustin/go-humanize":     {"bench", "cmd/cli"},
	}
	for _, s := range sources(t) {
		for _, p := range s.imports {
			for dep, may := range places {
				if (p == dep || strings.HasPrefix(p, dep+"/")) && !under(s.pkg, may...) {
					t.Errorf("%s imports %s, which belongs to %v", s.file, p, may)
				}
			}
		}
	}
}
