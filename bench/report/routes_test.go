package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// Every result counts once, by the route that it took, also one that was
// dropped: its attempt failed and has no other figures.
func TestRoutes(t *testing.T) {
	events := synthetic(3, 3, 20)
	var dropped *event.TaskEnd
	want := map[task.Route]Route{}
	for _, e := range ends(events) {
		if e.Route == task.RouteNone {
			continue
		}
		if dropped == nil && e.Kind == task.ResultTask && e.Route == task.RouteDirect {
			dropped = e
			e.Route, e.Reason, e.HasMetrics = task.RouteDropped, task.TaskKilled, false
			e.Info.Failed, e.Metrics = true, task.Metrics{task.ResultSize: 5 << 30}
		}
		w := want[e.Route]
		w.Results++
		w.Bytes += e.Metrics[task.ResultSize]
		w.Largest = max(w.Largest, e.Metrics[task.ResultSize])
		if e.Route == task.RouteIndirect {
			w.Fetch += e.Info.Finish - e.Info.GettingResult
		}
		want[e.Route] = w
	}
	m := load(t, EventSource(events), Options{})
	got := map[task.Route]Route{}
	for _, s := range m.Stages {
		var fetch int64
		for i, r := range s.Routes {
			if i > 0 && s.Routes[i-1].route >= r.route {
				t.Errorf("stage %d: routes %v are not in order", s.ID, s.Routes)
			}
			if r.Name != r.route.String() {
				t.Errorf("route %v is called %q", r.route, r.Name)
			}
			g := got[r.route]
			got[r.route] = Route{Results: g.Results + r.Results, Bytes: g.Bytes + r.Bytes, Largest: max(g.Largest, r.Largest), Fetch: g.Fetch + r.Fetch}
			fetch += r.Fetch
		}
		if fetch != s.totals[ResultFetch] {
			t.Errorf("stage %d: fetches of all routes took %d, the breakdown says %d", s.ID, fetch, s.totals[ResultFetch])
		}
	}
	if len(want) != 3 || len(got) != 3 {
		t.Fatalf("routes %v, want %v", got, want)
	}
	for r, w := range want {
		if got[r] != w {
			t.Errorf("%v: %+v, want %+v", r, got[r], w)
		}
	}
	var out bytes.Buffer
	if err := m.Write(&out, Terminal, Show{All: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "dropped        1  5.00 GiB  5.00 GiB") {
		t.Errorf("the dropped result is not shown:\n%s", out.String())
	}
}
