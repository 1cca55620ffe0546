package workloads

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// Kind is the type of a parameter.
type Kind uint8

// The kinds of parameter, with what the user writes.
const (
	Bytes    Kind = iota // 1GB, 512MiB, 2g
	Int                  // 100000, 1e7
	Float                // 1.05
	Duration             // 50us, 1.5s
	String               // any text, or one of Choices
	Bool                 // true, false
)

var kindTable = [...]struct{ name, write string }{
	Bytes:    {"size", "a number and a unit, like 512MiB, 1GB or 2g"},
	Int:      {"count", "a whole number, like 1000 or 1e6"},
	Float:    {"number", "a number, like 1.05"},
	Duration: {"duration", "a number and a unit, like 50us, 200ms or 10s"},
	String:   {"text", "text"},
	Bool:     {"switch", "true or false"},
}

// String returns what the user would call the kind.
func (k Kind) String() string {
	if int(k) < len(kindTable) {
		return kindTable[k].name
	}
	return "kind " + strconv.Itoa(int(k))
}

// Param describes one parameter of a workload. Default, Min and Max are
// written as the user would write them; an empty Min or Max sets no bound.
type Param struct {
	Name    string
	Kind    Kind
	Default string
	Min     string
	Max     string
	Choices []string // for String: the only texts allowed; nil allows all
	// Data says that the parameter decides the bytes that Generate writes:
	// two runs that agree in these share their data.
	Data bool
	Doc  string // one or two sentences for the help
}

// value is a parsed parameter. Which field holds it depends on the kind.
type value struct {
	n int64   // Bytes, Int, Duration in nanoseconds, Bool as 0 or 1
	f float64 // Float
	s string  // String
}

// parse reads text as the parameter's kind and checks its range.
func (p Param) parse(text string) (value, error) {
	v, err := p.read(text)
	if errors.Is(err, strconv.ErrRange) { // a number, and no such one is allowed
		if p.Max == "" {
			return value{}, fmt.Errorf("cannot set %s to %q: that is too large a number", p.Name, text)
		}
		return value{}, fmt.Errorf("cannot set %s to %q: it must be %s", p.Name, text, p.Range())
	}
	if err != nil {
		return value{}, fmt.Errorf("cannot set %s to %q: write %s", p.Name, text, kindTable[p.Kind].write)
	}
	for _, bound := range []struct {
		text string
		side int
	}{{p.Min, -1}, {p.Max, 1}} {
		if bound.text == "" {
			continue
		}
		b, err := p.read(bound.text)
		if err != nil {
			return value{}, fmt.Errorf("cannot read the bound %q of parameter %s", bound.text, p.Name)
		}
		if c := p.compare(v, b); c != 0 && c == bound.side {
			return value{}, fmt.Errorf("cannot set %s to %s: it must be %s", p.Name, p.show(v), p.Range())
		}
	}
	if p.Kind == String && p.Choices != nil && !slices.Contains(p.Choices, v.s) {
		msg := fmt.Sprintf("cannot set %s to %q: it must be %s", p.Name, text, p.Range())
		if near := Nearest(v.s, p.Choices); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return value{}, fmt.Errorf("%s", msg)
	}
	return v, nil
}

// read parses text without looking at the range.
func (p Param) read(text string) (v value, err error) {
	switch p.Kind {
	case Bytes:
		b, err := units.ParseBytes(text)
		return value{n: int64(b)}, err
	case Int:
		n, err := parseInt(text)
		return value{n: n}, err
	case Float:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			err = strconv.ErrSyntax
		}
		return value{f: f}, err
	case Duration:
		d, err := units.ParseDuration(text)
		return value{n: int64(d)}, err
	case Bool:
		b, err := strconv.ParseBool(strings.TrimSpace(text))
		if b {
			return value{n: 1}, err
		}
		return value{}, err
	default:
		return value{s: text}, nil
	}
}

// parseInt reads a whole number, also in the forms 1e6 and 1_000_000.
func parseInt(text string) (int64, error) {
	t := strings.ReplaceAll(strings.TrimSpace(text), "_", "")
	n, err := strconv.ParseInt(t, 10, 64)
	if err == nil {
		return n, nil
	}
	f, ferr := strconv.ParseFloat(t, 64)
	switch {
	case ferr != nil || f != math.Trunc(f):
		return 0, err
	case math.Abs(f) > 1<<53: // floats no longer tell whole numbers apart
		return 0, strconv.ErrRange
	}
	return int64(f), nil
}

func (p Param) compare(a, b value) int {
	switch {
	case p.Kind == Float && a.f < b.f, p.Kind != Float && a.n < b.n:
		return -1
	case p.Kind == Float && a.f > b.f, p.Kind != Float && a.n > b.n:
		return 1
	}
	return 0
}

// show writes a value for people.
func (p Param) show(v value) string {
	switch p.Kind {
	case Bytes:
		return units.Bytes(v.n).String()
	case Duration:
		return time.Duration(v.n).String()
	default:
		return p.text(v)
	}
}

// text writes a value so that read gives it back exactly.
func (p Param) text(v value) string {
	switch p.Kind {
	case Bytes, Int:
		return strconv.FormatInt(v.n, 10)
	case Float:
		return strconv.FormatFloat(v.f, 'g', -1, 64)
	case Duration:
		return time.Duration(v.n).String()
	case Bool:
		return strconv.FormatBool(v.n != 0)
	default:
		return v.s
	}
}

// Range says in words what values are allowed: "from 1 to 1000000",
// "at least 0", "one of a, b", or "" when everything is.
func (p Param) Range() string {
	switch {
	case p.Choices != nil:
		return "one of " + strings.Join(p.Choices, ", ")
	case p.Min != "" && p.Max != "":
		return "from " + p.Min + " to " + p.Max
	case p.Min != "":
		return "at least " + p.Min
	case p.Max != "":
		return "at most " + p.Max
	}
	return ""
}
