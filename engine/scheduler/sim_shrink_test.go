package scheduler

import (
	"slices"
	"strings"
	"unicode"
)

// shrinkRuns bounds how many worlds are tried to make one short: some seconds.
const shrinkRuns = 4000

// kind is a failure without what changes from world to world, so that making
// a world shorter does not run into another failure.
func kind(failure string) string {
	first, _, _ := strings.Cut(failure, "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, first[:min(len(first), 60)])
}

// shrink returns a small world that fails as w does: it drops whatever is not needed, in halves, quarters and so on
// (delta debugging), and makes plain what is left.
func shrink(w *world, failure string) *world {
	want := kind(failure)
	left := shrinkRuns
	fails := func(w *world) bool {
		if left--; left < 0 {
			return false
		}
		failure, _ := simulate(w, false)
		return kind(failure) == want
	}
	for again := true; again && left > 0; {
		again = false
		try := func(change func(*world)) bool {
			smaller := *w
			smaller.acts = slices.Clone(w.acts)
			smaller.nodes, smaller.executors = slices.Clone(w.nodes), slices.Clone(w.executors)
			change(&smaller)
			if fails(&smaller) {
				w = &smaller
				again = true
				return true
			}
			return false
		}
		pieces(func() int { return len(w.acts) }, func(from, to int) bool {
			return try(func(w *world) { w.acts = slices.Delete(w.acts, from, to) })
		})
		plain := func(f *fate) []func() {
			return []func(){func() { *f = fate{} }, func() { *f = fate{ends: f.ends} }, func() { f.takes = 0 }, func() { f.silent = false },
				func() { f.stubborn = false }, func() { f.twice = false }, func() { f.late = false }, func() { f.inHand = 0 }}
		}
		for i := range w.acts {
			if len(w.acts[i].fates) == 0 || try(func(w *world) { w.acts[i].fates = nil }) {
				continue
			}
			pieces(func() int { return len(w.acts[i].fates) }, func(from, to int) bool {
				return try(func(w *world) { w.acts[i].fates = slices.Delete(slices.Clone(w.acts[i].fates), from, to) })
			})
			for n := range w.acts[i].fates {
				for k := range plain(&fate{}) {
					f := w.acts[i].fates[n]
					if plain(&f)[k](); f != w.acts[i].fates[n] {
						try(func(w *world) {
							w.acts[i].fates = slices.Clone(w.acts[i].fates)
							w.acts[i].fates[n] = f
						})
					}
				}
			}
		}
		for i := len(w.nodes) - 1; i >= 0 && len(w.nodes) > 1; i-- {
			try(func(w *world) { w.dropNode(i) })
		}
		for i := range w.nodes {
			for _, change := range []func(*nodeSpec){
				func(n *nodeSpec) { n.parts = 1 }, func(n *nodeSpec) { n.parts = 2 }, func(n *nodeSpec) { n.parts /= 2 }, func(n *nodeSpec) { n.reads = nil },
				func(n *nodeSpec) { n.reads = n.reads[:min(1, len(n.reads))] }, func(n *nodeSpec) { n.barrier = false },
				func(n *nodeSpec) { n.other = false }, func(n *nodeSpec) { n.cached = false }, func(n *nodeSpec) { n.prefers = false },
			} {
				n := w.nodes[i]
				before := n
				if change(&n); n.size() < before.size() {
					try(func(w *world) { w.nodes[i] = n })
				}
			}
		}
		for i := len(w.executors) - 1; i >= 0 && len(w.executors) > 1; i-- {
			try(func(w *world) { w.executors = slices.Delete(w.executors, i, i+1) })
		}
		for i := range w.executors {
			if w.executors[i].slots > w.cpus {
				try(func(w *world) { w.executors[i].slots = w.cpus })
			}
		}
		for _, x := range []struct {
			on     bool
			change func(*world)
		}{
			{w.fair, func(w *world) { w.fair = false }}, {w.waits, func(w *world) { w.waits = false }},
			{w.excludes, func(w *world) { w.excludes = false }}, {w.patient, func(w *world) { w.patient = false }},
			{w.speculates, func(w *world) { w.speculates = false }}, {w.beats, func(w *world) { w.beats = false }},
			{w.reaps, func(w *world) { w.reaps = false }}, {w.hasty, func(w *world) { w.hasty = false }},
			{w.slow, func(w *world) { w.slow = false }},
			{w.mismatch, func(w *world) { w.mismatch = false }}, {w.chain > 0, func(w *world) { w.chain = 0 }},
			{w.chain > 1, func(w *world) { w.chain = 1 }}, {w.cpus > 1, func(w *world) { w.cpus = 1 }},
			{w.maxResult > 0, func(w *world) { w.maxResult = 0 }}, {w.maxUntaken > 0, func(w *world) { w.maxUntaken = 0 }},
			{w.maxMessage > 0, func(w *world) { w.maxMessage = 0 }},
			{w.maxFailures > 1, func(w *world) { w.maxFailures = 1 }},
		} {
			if x.on {
				try(x.change)
			}
		}
	}
	return w
}

// dropNode takes a node out, with the jobs that run on it.
func (w *world) dropNode(i int) {
	w.nodes = slices.Delete(w.nodes, i, i+1)
	for k := range w.nodes {
		var reads []readSpec
		for _, r := range w.nodes[k].reads {
			if r.node > i {
				r.node--
			} else if r.node == i {
				continue
			}
			reads = append(reads, r)
		}
		w.nodes[k].reads = reads
	}
	w.acts = slices.DeleteFunc(w.acts, func(a act) bool { return a.kind == submitJob && a.a == i })
	for k, a := range w.acts {
		if a.kind == submitJob && a.a > i {
			w.acts[k].a--
		}
	}
}

// size orders what a node may be made into.
func (n nodeSpec) size() int {
	size := 10*n.parts + 5*len(n.reads)
	for _, on := range []bool{n.barrier, n.other, n.cached, n.prefers} {
		if on {
			size++
		}
	}
	return size
}

// pieces offers ever smaller pieces of a list to drop, from the end.
func pieces(length func() int, drop func(from, to int) bool) {
	for size := length(); size > 0; size /= 2 {
		for to := length(); to > 0; to -= size {
			drop(max(0, to-size), to)
		}
	}
}
