package tune

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/units"
)

// Pair is a configuration key and its value.
type Pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Setting is one point of the grid.
type Setting struct {
	Cores  int         `json:"cores"`
	Memory units.Bytes `json:"memory_bytes"`
	Conf   []Pair      `json:"configuration,omitempty"` // of the keys that were given lists
}

// unsafeName are runs of characters that do not belong into a folder's name.
var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._=+-]+`)

// FolderName names the run folder of the setting in a round.
func (s Setting) FolderName(round int) string {
	name := fmt.Sprintf("cores=%d-memory=%s", s.Cores, sparkSize(s.Memory))
	for _, p := range s.Conf {
		name += "-" + p.Key + "=" + p.Value
	}
	return fmt.Sprintf("%s-r%d", unsafeName.ReplaceAllString(name, "_"), round+1)
}

// String is "2 cores, 256 MiB, shuffle.compress=true".
func (s Setting) String() string {
	noun := "cores"
	if s.Cores == 1 {
		noun = "core"
	}
	t := fmt.Sprintf("%d %s, %s", s.Cores, noun, s.Memory)
	for _, p := range s.Conf {
		t += ", " + p.Key + "=" + p.Value
	}
	return t
}

// Axis is a configuration key with the values to try.
type Axis struct {
	Key    string
	Values []string
}

// Grid returns every combination, memory changing fastest.
func Grid(cores []int, memory []units.Bytes, conf []Axis) []Setting {
	combinations := [][]Pair{nil}
	for _, a := range conf {
		var more [][]Pair
		for _, c := range combinations {
			for _, v := range a.Values {
				more = append(more, append(slices.Clone(c), Pair{a.Key, v}))
			}
		}
		combinations = more
	}
	var out []Setting
	for _, c := range combinations {
		for _, n := range cores {
			for _, m := range memory {
				out = append(out, Setting{n, m, c})
			}
		}
	}
	return out
}

// ParseCores reads "2", "1,2,4" or "1..8"; a range doubles and ends with its
// end.
func ParseCores(text string) ([]int, error) {
	v, err := parseRange(text, 0, func(s string) (float64, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1<<20 {
			return 0, fmt.Errorf("cannot read %q as a number of cores: write 2, 1,2,4 or 1..8", s)
		}
		return float64(n), nil
	})
	if err != nil {
		return nil, err
	}
	var out []int
	for _, n := range v {
		out = append(out, int(n))
	}
	return out, nil
}

// ParseMemory reads "1GiB", "256MiB,1GiB" or "128MiB..2GiB". A range doubles
// and ends with its end; with steps of 2 or more it has that many sizes, each
// larger than the one before by the same factor, in whole MiB.
func ParseMemory(text string, steps int) ([]units.Bytes, error) {
	v, err := parseRange(text, steps, func(s string) (float64, error) {
		b, err := units.ParseBytes(s)
		if err == nil && b == 0 {
			err = fmt.Errorf("a memory of 0 is of no use")
		}
		return float64(b), err
	})
	if err != nil {
		return nil, err
	}
	var out []units.Bytes
	for i, n := range v {
		b := units.Bytes(n)
		if steps > 1 && i > 0 && i < len(v)-1 {
			b = (b + units.MiB/2) / units.MiB * units.MiB
		}
		if !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out, nil
}

// parseRange reads values, or the two ends of a range.
func parseRange(text string, steps int, parse func(string) (float64, error)) ([]float64, error) {
	if from, to, isRange := strings.Cut(text, ".."); isRange {
		low, err := parse(strings.TrimSpace(from))
		if err != nil {
			return nil, err
		}
		high, err := parse(strings.TrimSpace(to))
		if err != nil {
			return nil, err
		}
		if high < low {
			return nil, fmt.Errorf("cannot use the range %s: its end is below its beginning", text)
		}
		return between(low, high, steps), nil
	}
	var out []float64
	for s := range strings.SplitSeq(text, ",") {
		v, err := parse(strings.TrimSpace(s))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out, nil
}

func between(low, high float64, steps int) (out []float64) {
	if steps > 1 {
		factor := math.Pow(high/low, 1/float64(steps-1))
		for i := range steps - 1 {
			out = append(out, math.Round(low*math.Pow(factor, float64(i))))
		}
	} else {
		for v := low; v < high; v *= 2 {
			out = append(out, v)
		}
	}
	return append(out, high)
}

// ParseConf reads KEY=VALUE or KEY=VALUE,VALUE,….
func ParseConf(text string) (Axis, error) {
	key, values, ok := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return Axis{}, fmt.Errorf("cannot use --conf %s: write key=value, or key=one,two to try both", text)
	}
	a := Axis{Key: key}
	for v := range strings.SplitSeq(values, ",") {
		if v = strings.TrimSpace(v); !slices.Contains(a.Values, v) {
			a.Values = append(a.Values, v)
		}
	}
	return a, nil
}
