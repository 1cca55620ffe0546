package workloads

import (
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// sample is a workload with a parameter of every kind.
func sample() *Workload {
	return &Workload{
		Name: "sample",
		Params: []Param{
			{Name: "size", Kind: Bytes, Default: "1GB", Min: "100", Max: "2TB", Doc: "d"},
			{Name: "records", Kind: Int, Default: "0", Min: "0", Doc: "d"},
			{Name: "exponent", Kind: Float, Default: "1.05", Min: "0", Max: "4", Doc: "d"},
			{Name: "length", Kind: Duration, Default: "50us", Max: "1h", Doc: "d"},
			{Name: "mode", Kind: String, Default: "fast", Choices: []string{"fast", "slow"}, Doc: "d"},
			{Name: "note", Kind: String, Doc: "d"},
			{Name: "ascii", Kind: Bool, Default: "false", Doc: "d"},
		},
	}
}

func TestValuesReadWhatUsersWrite(t *testing.T) {
	v := sample().Values()
	if v.Bytes("size") != units.GB || v.Int("records") != 0 || v.Float("exponent") != 1.05 || v.Duration("length") != 50*time.Microsecond ||
		v.String("mode") != "fast" || v.String("note") != "" || v.Bool("ascii") {
		t.Errorf("defaults: %+v", v)
	}
	for _, c := range []struct{ name, text, canonical string }{
		{"size", "1GB", "1000000000"},
		{"size", "1g", "1073741824"},
		{"size", "512MiB", "536870912"},
		{"records", "1e6", "1000000"},
		{"records", "12_345", "12345"},
		{"records", "9223372036854775807", "9223372036854775807"},
		{"exponent", "0", "0"},
		{"exponent", "0.1", "0.1"},
		{"length", "2ms", "2ms"},
		{"length", "3", "3s"},
		{"length", "1min", "1m0s"},
		{"mode", "slow", "slow"},
		{"note", " any = thing\n", " any = thing\n"},
		{"ascii", "true", "true"},
		{"ascii", "0", "false"},
	} {
		if v.IsSet(c.name) && v.Text(c.name) == c.canonical {
			t.Errorf("%s is %s already", c.name, c.canonical)
		}
		if err := v.Set(c.name, c.text); err != nil {
			t.Error(err)
			continue
		}
		if got := v.Text(c.name); got != c.canonical || !v.IsSet(c.name) {
			t.Errorf("%s %q reads as %q, want %q", c.name, c.text, got, c.canonical)
		}
		if err := v.Set(c.name, v.Text(c.name)); err != nil || v.Text(c.name) != c.canonical {
			t.Errorf("%s: %q does not read back: %q, %v", c.name, c.canonical, v.Text(c.name), err)
		}
	}
}

func TestValuesRefuse(t *testing.T) {
	v := sample().Values()
	for _, c := range []struct{ name, text, want string }{
		{"size", "10XB", `cannot set size to "10XB": write a number and a unit, like 512MiB, 1GB or 2g`},
		{"size", "99", "cannot set size to 99 B: it must be from 100 to 2TB"},
		{"size", "3TB", "cannot set size to 2.73 TiB: it must be from 100 to 2TB"},
		{"records", "-1", "cannot set records to -1: it must be at least 0"},
		{"records", "1.5", `cannot set records to "1.5": write a whole number, like 1000 or 1e6`},
		{"records", "1e30", `cannot set records to "1e30": that is too large a number`},
		{"records", "99999999999999999999", `cannot set records to "99999999999999999999": that is too large a number`},
		{"size", "99999999999GB", `cannot set size to "99999999999GB": it must be from 100 to 2TB`},
		{"records", "", `cannot set records to "": write a whole number, like 1000 or 1e6`},
		{"exponent", "nan", `cannot set exponent to "nan": write a number, like 1.05`},
		{"exponent", "4.5", "cannot set exponent to 4.5: it must be from 0 to 4"},
		{"length", "soon", `cannot set length to "soon": write a number and a unit, like 50us, 200ms or 10s`},
		{"length", "2h", "cannot set length to 2h0m0s: it must be at most 1h"},
		{"mode", "slwo", `cannot set mode to "slwo": it must be one of fast, slow; did you mean "slow"?`},
		{"ascii", "maybe", `cannot set ascii to "maybe": write true or false`},
		{"sise", "1", `workload sample has no parameter "sise"; did you mean "size"?`},
		{"zzz", "1", `workload sample has no parameter "zzz": there are ascii, exponent, length, mode, note, records, size`},
	} {
		err := v.Set(c.name, c.text)
		if err == nil || err.Error() != c.want {
			t.Errorf("Set(%q, %q)\n got %v\nwant %s", c.name, c.text, err, c.want)
		}
	}
	for _, p := range v.Params() {
		if v.IsSet(p.Name) {
			t.Errorf("a refused value changed %s", p.Name)
		}
	}
}

func TestCloneHasItsOwnValues(t *testing.T) {
	v := sample().Values()
	c := v.Clone()
	if err := c.Set("records", "5"); err != nil {
		t.Fatal(err)
	}
	if v.Int("records") != 0 || c.Int("records") != 5 || v.IsSet("records") {
		t.Errorf("original %d, clone %d", v.Int("records"), c.Int("records"))
	}
}

func TestReadingAParameterWronglyPanics(t *testing.T) {
	v := sample().Values()
	for name, read := range map[string]func(){
		"none":       func() { v.Int("none") },
		"wrong kind": func() { v.Int("size") },
	} {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), "sample") {
					t.Errorf("%s: %v", name, r)
				}
			}()
			read()
		}()
	}
}

func TestNearest(t *testing.T) {
	names := []string{"terasort", "wordcount", "tasks", "groupby", "join"}
	for name, want := range map[string]string{
		"terasort":  "terasort",
		"tersort":   "terasort",
		"TeraSort":  "terasort",
		"teraosrt":  "terasort",
		"task":      "tasks",
		"wordcuont": "wordcount",
		"jion":      "join",
		"pagerank":  "",
		"":          "",
		"x":         "",
		"xy":        "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
	if got := Nearest("cat", []string{"car", "bat"}); got != "bat" {
		t.Errorf("of equally near names %q was chosen", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}} {
		if d, e := distance(c.a, c.b), distance(c.b, c.a); d != c.want || e != c.want {
			t.Errorf("distance of %q and %q is %d and %d, want %d", c.a, c.b, d, e, c.want)
		}
	}
}
