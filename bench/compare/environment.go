package compare

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/bench/folder"
)

// Difference is something besides the program that two runs do not share.
type Difference struct {
	Workload string `json:"workload"`
	What     string `json:"what"`
	Old      string `json:"old"`
	New      string `json:"new"`
}

// String is "memory: 512 MiB and 1 GiB".
func (d Difference) String() string {
	return fmt.Sprintf("%s: %s and %s", d.What, said(d.Old), said(d.New))
}

func said(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// noDimension are configuration keys that have no part in how long a job
// takes.
var noDimension = []string{"spark.app.name", "spark.redaction.regex", "spark.eventLog.dir"}

// Differences lists what makes the times of two runs answer different
// questions: machine, workload, parameters, seed, data, cores, memory,
// configuration, and how the harness ran them. The program itself (commit,
// version of Go) is what a comparison is about, and not in the list.
func Differences(old, new *folder.Manifest) []Difference {
	var out []Difference
	add := func(what, a, b string) {
		if a != b {
			out = append(out, Difference{old.Workload, what, a, b})
		}
	}
	add("machine (fingerprint)", machineOf(old, new), machineOf(new, old))
	add("workload", old.Workload, new.Workload)
	if old.Workload == new.Workload { // those of another have other parameters, on other data
		compareSettings(add, "parameter ", old.Params, new.Params, nil)
		add("data checksum", dataOf(old), dataOf(new))
	}
	add("cores", strconv.Itoa(old.Cores), strconv.Itoa(new.Cores))
	add("executors", strconv.Itoa(max(1, old.Executors)), strconv.Itoa(max(1, new.Executors)))
	add("memory", old.Memory.String(), new.Memory.String())
	add("processors pinned to", pins(old), pins(new))
	compareSettings(add, "configuration ", old.Conf, new.Conf, noDimension)
	add("GOGC", old.Versions.GOGC, new.Versions.GOGC)
	add("GODEBUG", old.Versions.GODEBUG, new.Versions.GODEBUG)
	add("warm-up iterations", strconv.Itoa(old.Warmup), strconv.Itoa(new.Warmup))
	add("verification", onOff(old.Verify), onOff(new.Verify))
	add("event file", onOff(!old.NoEvents), onOff(!new.NoEvents))
	add("temporary folder", setting(old, "temp"), setting(new, "temp"))
	return out
}

// machineOf names a machine; what tells it from the other is added when the
// fingerprints differ.
func machineOf(m, other *folder.Manifest) string {
	if m.Fingerprint == other.Fingerprint {
		return m.Fingerprint
	}
	return fmt.Sprintf("%s (%s, %d processors, %s)", m.Fingerprint, m.Machine.CPU, m.Machine.Cores, m.Machine.Memory)
}

// dataOf names the data: by their checksum, or by what is known of them.
func dataOf(m *folder.Manifest) string {
	in := &m.Input
	switch {
	case in.Checksum != "":
		return in.Checksum
	case in.Files == 0:
		return ""
	}
	return fmt.Sprintf("not computed, %d bytes in files %d of %s", int64(in.Bytes), in.Files, strings.Join(in.Paths, ", "))
}

// pins counts: which processors they are depends on what is free.
func pins(m *folder.Manifest) string {
	if len(m.Pinned) == 0 {
		return "all"
	}
	return strconv.Itoa(len(m.Pinned))
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func setting(m *folder.Manifest, name string) string {
	for _, s := range m.Settings {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}

func compareSettings(add func(what, a, b string), kind string, old, new []folder.Setting, except []string) {
	values := map[string][2]string{}
	var names []string
	for i, side := range [][]folder.Setting{old, new} {
		for _, s := range side {
			v, known := values[s.Name]
			if !known {
				names = append(names, s.Name)
			}
			v[i] = s.Value
			values[s.Name] = v
		}
	}
	for _, n := range names {
		if !slices.Contains(except, n) {
			add(kind+n, values[n][0], values[n][1])
		}
	}
}

// noiseNote begins a note about what else the machine did.
const noiseNote = "noise of the "

// notes say what is worth knowing of a workload's runs beside their times.
func notes(old, new []*folder.Run) []string {
	var out []string
	for name, runs := range sides(old, new) {
		var noise []string
		for _, run := range runs {
			m := &run.Manifest
			if m.Status != folder.Done && m.Status != folder.Unverified {
				out = append(out, fmt.Sprintf("the %s run ended as %q: only what it had done is compared", name, m.Status))
			}
			if m.End != nil {
				noise = append(noise, m.End.Warnings...)
			}
			for _, p := range run.Problems {
				out = append(out, fmt.Sprintf("%s run: %s", name, p))
			}
		}
		if len(runs) > 1 && len(noise) > 1 { // one is like the other
			noise = []string{fmt.Sprintf("%s (and %d more like it, in %d runs)", noise[0], len(noise)-1, len(runs))}
		}
		for _, w := range noise {
			out = append(out, fmt.Sprintf(noiseNote+"%s run: %s", name, w))
		}
	}
	a, b := &old[0].Manifest, &new[0].Manifest
	if a.Versions.Go != b.Versions.Go {
		out = append(out, fmt.Sprintf("built with %s and with %s", a.Versions.Go, b.Versions.Go))
	}
	if a.Input.Files > 0 && a.Input.Checksum == "" {
		out = append(out, "the data have no checksum: nothing says that both runs read the same")
	}
	if x, y := answer(old[0]), answer(new[0]); x != y && x != "" && y != "" {
		out = append(out, fmt.Sprintf("the answers differ: checksum %s and %s", x, y))
	}
	return out
}

// sides yields both sides by name.
func sides(old, new []*folder.Run) iter.Seq2[string, []*folder.Run] {
	return func(yield func(string, []*folder.Run) bool) {
		_ = yield("old", old) && yield("new", new)
	}
}

// answer is the checksum of the last verified answer.
func answer(r *folder.Run) string {
	s := ""
	for i := range r.Samples {
		if r.Samples[i].Verified {
			s = r.Samples[i].Checksum
		}
	}
	return s
}
