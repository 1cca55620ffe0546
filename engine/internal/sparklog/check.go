// Package sparklog knows what Spark's event log must look like, so that tests
// can check the logs that the engine writes: the file rules, field tables and
// order of spark-semantics §10.
package sparklog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Check returns what keeps the History Server from reading a log whole, or
// from reading it right: file rules of §10.1, fields of §10.3, order of §10.2.
// whole says that it tells of a whole session, so that all that begins ends,
// in its place; its accumulators must be sums. Without it only the lines are
// looked at, and how the log begins and ends.
func Check(text string, whole bool) (faults []string) {
	c := &checker{story: newStory()}
	if !utf8.ValidString(text) {
		c.bad("it is not UTF-8")
	}
	for l := range strings.Lines(text) {
		c.n++
		event, ok := c.line(l)
		c.events = append(c.events, event)
		if !ok || !whole {
			continue
		}
		var e line
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			c.bad("%v", err)
			continue
		}
		c.take(event, &e)
	}
	c.n = 0
	c.frame()
	if whole {
		c.end()
	}
	return c.faults
}

type checker struct {
	*story
	events []string // kinds so far
}

// line checks one line by itself and returns what it tells of.
func (c *checker) line(l string) (event string, ok bool) {
	d := json.NewDecoder(strings.NewReader(l))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		c.bad("%v", err)
		return "", false
	}
	event, _ = v["Event"].(string)
	s, known := eventShapes[event]
	if !known {
		c.bad("unknown event %q", event)
		return event, false
	}
	// The listing pass of the History Server matches the line's first bytes.
	if !strings.HasPrefix(l, `{"Event":"`+event+`",`) {
		c.bad("it does not begin with its event: %.60s", l)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(l)); err != nil || compact.String()+"\n" != l {
		c.bad("it is not one compact object and a line's end")
	}
	if m := misfit(event, v, s); m != "" {
		c.bad("%s", m)
		return event, false
	}
	return event, true
}

// frame checks how the log begins and ends.
func (c *checker) frame() {
	at := func(event string) int { return slices.Index(c.events, event) }
	once := []string{"SparkListenerLogStart", "SparkListenerEnvironmentUpdate", "SparkListenerApplicationStart", "SparkListenerApplicationEnd"}
	for i, event := range once {
		n := 0
		for _, e := range c.events {
			if e == event {
				n++
			}
		}
		switch {
		case n != 1:
			c.bad("%d lines of %s", n, event)
		case i > 0 && at(event) < at(once[i-1]):
			c.bad("%s comes before %s", event, once[i-1])
		}
	}
	if at(once[0]) > 0 {
		c.bad("the version is not in the first line")
	}
	before := []string{"SparkListenerResourceProfileAdded", "SparkListenerExecutorAdded"}
	after := []string{"SparkListenerJobStart", "SparkListenerStageSubmitted", "SparkListenerTaskStart"}
	for i, event := range before {
		if n := at(event); n > at("SparkListenerEnvironmentUpdate") {
			c.bad("%s comes after the environment", event)
		} else if n >= 0 && i > 0 && n < at(before[i-1]) {
			c.bad("%s comes before %s", event, before[i-1])
		}
	}
	for _, event := range after {
		if n := at(event); n >= 0 && n < at("SparkListenerApplicationStart") {
			c.bad("%s comes before the application", event)
		}
	}
	if n := at("SparkListenerApplicationEnd"); n >= 0 && n != len(c.events)-1 {
		c.bad("%s comes after the end of the application", c.events[n+1])
	}
}

func (s *story) bad(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf("line %d: ", s.n)+fmt.Sprintf(format, args...))
}
