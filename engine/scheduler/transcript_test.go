package scheduler

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

var update = flag.Bool("update", false, "write what the transcripts give")

// TestTranscripts plays testdata/*.txt: paragraphs of events, a line "----",
// and the commands that answer them. -update rewrites the answers.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var h *harness
			for _, paragraph := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				in, _, _ := strings.Cut(paragraph, "\n----")
				for _, line := range strings.Split(in, "\n") {
					if strings.HasPrefix(line, "#") {
						continue
					}
					h = play(t, h, strings.Fields(line))
				}
				if h != nil && len(h.out) > 0 {
					in += "\n----\n" + strings.Join(h.out, "\n")
					h.clear()
				}
				got = append(got, in)
			}
			h.empty()
			result := strings.Join(got, "\n\n") + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(result), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if result != string(text) {
				t.Errorf("%s gives\n%s", file, result)
			}
		})
	}
}

// play does what one line says.
func play(t *testing.T, h *harness, f []string) *harness {
	t.Helper()
	arg := map[string]string{}
	var words []string
	for _, w := range f[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			arg[k] = v
		} else {
			words = append(words, w)
		}
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%q: %v", f, err)
		}
		return n
	}
	list := func(s string) (l []string) {
		if s != "" {
			l = strings.Split(s, ",")
		}
		return l
	}
	if f[0] == "core" {
		cfg := Config{MaxFailures: 4}
		for _, x := range list(arg["executors"]) {
			p := strings.Split(x, ":")
			cfg.Executors = append(cfg.Executors, ExecutorSpec{ID: id.Executor(p[0]), Host: p[1], Slots: number(p[2])})
		}
		if m := arg["maxFailures"]; m != "" {
			cfg.MaxFailures = number(m)
		}
		cfg.Mode = conf.SchedulingMode(arg["mode"])
		return newHarness(t, cfg)
	}
	tid := func() id.Task { return id.Task(number(words[0])) }
	switch f[0] {
	case "node": // node PARTS [reads=nID,sID…] [barrier] [indeterminate]
		var reads []any
		for _, r := range list(arg["reads"]) {
			if n := number(r[1:]); r[0] == 's' {
				reads = append(reads, h.shuffles[n])
			} else {
				reads = append(reads, h.nodes[n])
			}
		}
		n := h.node(number(words[0]), reads...)
		n.Barrier = slices.Contains(words, "barrier")
		if slices.Contains(words, "indeterminate") {
			n.Determinism = plan.Indeterminate
		}
	case "shuffle": // shuffle NODE REDUCERS
		h.shuffle(h.nodes[number(words[0])], number(words[1]))
	case "submit": // submit JOB NODE [parts=…] [key=value…]
		spec := JobSpec{Final: h.nodes[number(words[1])], Action: "count", Site: "x.go:1"}
		for _, p := range list(arg["parts"]) {
			spec.Partitions = append(spec.Partitions, int32(number(p)))
		}
		delete(arg, "parts")
		spec.Properties = arg
		h.submitSpec(id.Job(number(words[0])), spec)
	case "running":
		h.running(tid())
	case "ok":
		for _, w := range words {
			h.ok(id.Task(number(w)))
		}
	case "fail":
		h.fail(tid())
	case "dies":
		h.dies(tid())
	case "fetchfail": // fetchfail TASK SHUFFLE MAP EXECUTOR
		h.fetchFail(tid(), id.Shuffle(number(words[1])), int32(number(words[2])), id.Executor(words[3]))
	case "stored": // stored TASK BYTES
		h.stored(tid(), int64(number(words[1])), task.RouteIndirect)
	case "fetched":
		h.do(&FetchBegun{Task: tid()})
		h.do(&ResultFetched{Task: tid(), Result: task.Result{Value: []byte("v")}})
	case "lost":
		h.do(&ResultFetched{Task: tid(), Lost: "block is gone"})
	case "cancel":
		h.do(&JobCancelled{Job: id.Job(number(words[0])), Reason: strings.Join(words[1:], " ")})
	case "after":
		d, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatal(err)
		}
		h.after(d)
	case "lose":
		for _, n := range slices.Clone(h.order) {
			if h.tasks[n].Executor == id.Executor(words[0]) {
				h.gone(n)
			}
		}
		h.do(&ExecutorLost{Executor: id.Executor(words[0]), Reason: "gone"})
	case "add":
		h.do(&ExecutorAdded{ExecutorSpec{ID: id.Executor(words[0]), Host: words[1], Slots: number(words[2])}})
	case "commit": // commit TASK
		d := h.launched(tid())
		h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
	case "arrive": // arrive TASK EPOCH MESSAGE
		d := h.launched(tid())
		h.do(&BarrierArrived{Request: task.BarrierRequest{StageAttempt: d.StageAttempt, Task: d.Task, Partition: d.Partition,
			NumTasks: d.NumPartitions, Epoch: int64(number(words[1])), Method: task.AllGather, Message: words[2]}})
	default:
		t.Fatalf("line %q", fmt.Sprint(f))
	}
	return h
}
