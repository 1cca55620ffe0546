package conf

import "regexp"

// Entry is one key of a configuration as resolved.
type Entry struct {
	Key    string // with Prefix
	Value  string // text as given or as the table writes it
	Source string // "default", the name of a layer, or the key it inherits from
	Given  bool   // the user set it
	// Honoured is false for keys that were set and have no effect.
	Honoured bool
}

func entry(k *Key, v value, given bool) Entry {
	e := Entry{Key: Prefix + k.Name, Value: v.text, Source: "default", Given: given, Honoured: true}
	switch {
	case given:
		e.Source = v.origin()
	case k.Inherits != "":
		e.Source = Prefix + k.Inherits
	}
	return e
}

// Redacted stands in for values that look like secrets; Spark writes the same.
const Redacted = "*********(redacted)"

// secret finds key names that should not be repeated in messages, whatever
// the user's own pattern is.
var secret = regexp.MustCompile(`(?i)` + defaultRedaction)

const defaultRedaction = `secret|password|token|access[.]?key`

// Resolved returns every key that has a value or was given one, sorted, with
// values that look like secrets replaced by Redacted: the environment of a
// report. A value is taken for a secret when redaction.regex matches its key
// or the value itself.
func (s *Settings) Resolved() []Entry {
	pattern := regexp.MustCompile(s.redaction)
	out := make([]Entry, 0, len(s.entries))
	for _, e := range s.entries {
		if e.Value == "" && !e.Given {
			continue
		}
		if s.redaction != "" && e.Key != Prefix+"redaction.regex" && (pattern.MatchString(e.Key) || pattern.MatchString(e.Value)) {
			e.Value = Redacted
		}
		out = append(out, e)
	}
	return out
}

// Map returns the entries of Resolved as a map, for the ApplicationStart
// event.
func (s *Settings) Map() map[string]string {
	m := map[string]string{}
	for _, e := range s.Resolved() {
		m[e.Key] = e.Value
	}
	return m
}
