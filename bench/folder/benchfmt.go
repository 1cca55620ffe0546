package folder

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// benchUnits are the units of bench.txt that benchstat has to be told of.
var benchUnits = []struct{ unit, better string }{
	{"cpu-sec/op", "lower"},
	{"spilled-B/op", "lower"},
	{"peak-RSS-bytes", "lower"},
}

// benchHeader is the part of bench.txt that is true of all its lines.
func benchHeader(m *Manifest) []byte {
	var b bytes.Buffer
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, oneLine(value))
		}
	}
	line("goos", m.Machine.OS)
	line("goarch", m.Machine.Arch)
	line("cpu", m.Machine.CPU)
	line("machine", m.Fingerprint)
	line("go", m.Versions.Go)
	line("commit", m.Versions.Commit)
	line("memory", strconv.FormatInt(int64(m.Memory), 10))
	line("data", m.Input.Checksum)
	verified := "no"
	if m.Verify {
		verified = "yes"
	}
	line("verified", verified)
	for _, u := range benchUnits {
		fmt.Fprintf(&b, "Unit %s better=%s\n", u.unit, u.better)
	}
	return b.Bytes()
}

// benchLine is a sample's line: "BenchmarkTerasort/size=1000000000-2 1
// 912345678 ns/op …". Warm-ups, wrong and profiled samples have none.
//
// The name carries the parameters that the user chose, and ends in the
// number of cores as Go's does.
func benchLine(m *Manifest, s Sample) []byte {
	if s.Phase != Iteration || s.Error != "" || s.Profiled {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("Benchmark" + benchName(s.Workload))
	for _, p := range m.Params {
		if p.Source != "default" {
			fmt.Fprintf(&b, "/%s=%s", p.Name, oneWord(p.Value))
		}
	}
	fmt.Fprintf(&b, "-%d\t1\t%.0f ns/op", m.Cores, s.Seconds*1e9)
	if m.Input.Bytes > 0 && s.Seconds > 0 {
		fmt.Fprintf(&b, "\t%.2f MB/s", float64(m.Input.Bytes)/1e6/s.Seconds)
	}
	fmt.Fprintf(&b, "\t%s cpu-sec/op", float(s.CPU))
	fmt.Fprintf(&b, "\t%d spilled-B/op", s.Totals.DiskSpilled)
	fmt.Fprintf(&b, "\t%d peak-RSS-bytes", int64(s.PeakRSS))
	fmt.Fprintf(&b, "\t%d tasks/op", s.Totals.Tasks)
	for _, f := range s.Figures {
		unit := oneWord(f.Name) // says "per second" itself where it is a rate
		switch f.Unit {
		case "s":
			unit += "-sec"
		case "B":
			unit += "-bytes"
		}
		fmt.Fprintf(&b, "\t%s %s", float(f.Value), unit)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// benchName makes "word-count" into "WordCount": after "Benchmark" the
// format wants no lower-case letter, and "-" ends a name.
func benchName(name string) string {
	var b strings.Builder
	upper := true
	for _, r := range name {
		switch {
		case r == '-' || unicode.IsSpace(r):
			upper = true
		case upper:
			b.WriteRune(unicode.ToUpper(r))
			upper = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneWord keeps a value from ending the field or the name's part.
func oneWord(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '/' || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
