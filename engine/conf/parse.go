package conf

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/units"
)

// Layer is one source of values. Later layers override earlier ones.
type Layer struct {
	Source string // what the user calls it: "spark-defaults.conf", "--conf"
	Values map[string]string
}

// Warning says that something the user set will not have the effect that it
// has in Spark.
type Warning struct {
	Key  string // as the user wrote it
	Text string // a whole sentence that names the key
}

// String returns the warning's sentence.
func (w Warning) String() string { return w.Text }

// KeyError is a key that does not exist or a value that it does not accept.
type KeyError struct {
	Key     string // as the user wrote it
	Value   string // redacted when the key looks like a secret
	Source  string // the layer's; may be empty
	Accepts string // what would do; empty when the key itself is wrong
	Nearest string // a key of a similar name, or empty
	Cause   error
}

// Error returns "cannot use memory.fraction=2 (from --conf): it is above 1;
// accepted is a number from 0.01 to 1".
func (e *KeyError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot use %s=%s", e.Key, e.Value)
	if e.Source != "" {
		fmt.Fprintf(&b, " (from %s)", e.Source)
	}
	fmt.Fprintf(&b, ": %v", e.Cause)
	if e.Accepts != "" {
		fmt.Fprintf(&b, "; accepted is %s", e.Accepts)
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %s?", e.Nearest)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Cause }

// ErrUnknownKey is the cause of a KeyError whose key does not exist.
var ErrUnknownKey = errors.New("there is no such key")

// Parse resolves one set of values: ParseLayers with a single layer.
func Parse(values map[string]string) (Settings, []Warning, error) {
	return ParseLayers(Layer{Values: values})
}

// ParseLayers resolves all layers into settings. Warnings come sorted by
// key; they name keys that have no effect here. Errors are *KeyError, all of
// them joined, sorted by key: values that a key does not accept, a key given
// both with and without its prefix in one layer, and unknown keys.
//
// An unknown key that begins with "spark." is a warning, since it may be one
// of Spark's that we have never heard of; any other can only be a slip and
// is an error. Both offer the nearest name.
func ParseLayers(layers ...Layer) (Settings, []Warning, error) {
	var (
		set      Settings
		warnings []Warning
		errs     []error
		given    = map[string]value{}
	)
	for _, l := range layers {
		seen := map[string]string{}
		for _, name := range sortedKeys(l.Values) {
			v := value{name: name, text: strings.TrimSpace(l.Values[name]), source: l.Source}
			bare := strings.TrimPrefix(name, Prefix)
			if other, twice := seen[bare]; twice {
				errs = append(errs, v.refuse(fmt.Errorf("it is also given as %s", other)))
			}
			seen[bare] = name
			given[bare] = v
		}
	}
	for _, bare := range sortedKeys(given) {
		v := given[bare]
		if k := lookup(bare); k == nil {
			w, err := unknown(bare, v)
			warnings, errs = append(warnings, w...), append(errs, err)
		} else if !k.Honoured() {
			warnings = append(warnings, Warning{v.name, fmt.Sprintf("%s has no effect: %s", v.name, k.Ignored)})
		}
	}
	for i := range table {
		k := &table[i]
		if !k.Honoured() {
			continue
		}
		v, ok := resolve(k, given)
		if v.text != "" || ok && k.Kind != KindString {
			if err := k.store(&set, v.text); err != nil {
				e := v.refuse(err)
				e.Accepts = k.Accepts()
				if k.Kind == KindString {
					e.Accepts = "" // the cause says it
				}
				errs = append(errs, e)
			}
		}
		set.entries = append(set.entries, entry(k, v, ok))
	}
	if err := errors.Join(errs...); err != nil {
		return Settings{}, warnings, err
	}
	warnings = append(warnings, set.reconcile(given)...)
	if e := &set.Exclusion; e.TaskAndStage && e.TaskAttemptsPerHost >= set.MaxFailures {
		const name = "excludeOnFailure.task.maxTaskAttemptsPerNode"
		v := value{name: name, text: strconv.Itoa(e.TaskAttemptsPerHost)}
		if g, ok := given[name]; ok {
			v = g
		}
		return Settings{}, warnings, v.refuse(fmt.Errorf("it is not below task.maxFailures, which is %d: a job would be aborted before its task avoids a host", set.MaxFailures))
	}
	if set.Heartbeat.Interval >= set.Heartbeat.Timeout {
		v, ok := given["network.timeout"]
		if !ok {
			v = given["executor.heartbeatInterval"]
		}
		return Settings{}, warnings, v.refuse(fmt.Errorf("executor.heartbeatInterval is %v and network.timeout %v: it must be below", set.Heartbeat.Interval, set.Heartbeat.Timeout))
	}
	if _, err := regexp.Compile(set.redaction); err != nil {
		return Settings{}, warnings, given["redaction.regex"].refuse(err)
	}
	for bare, v := range given {
		if k := lookup(bare); k == nil || !k.Honoured() {
			set.entries = append(set.entries, Entry{Key: Prefix + bare, Value: v.text, Source: v.origin(), Given: true})
		}
	}
	slices.SortFunc(set.entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return set, warnings, nil
}

// value is one text that a user gave.
type value struct{ name, text, source string }

// unnamed is the source of a value whose layer has no name.
const unnamed = "given"

// origin returns the value's source, never empty.
func (v value) origin() string {
	if v.source == "" {
		return unnamed
	}
	return v.source
}

func (v value) refuse(cause error) *KeyError {
	shown := v.text
	if secret.MatchString(v.name) {
		shown = Redacted
	}
	return &KeyError{Key: v.name, Value: shown, Source: v.source, Cause: cause}
}

// resolve finds the text for a key: given, inherited or default; ok reports
// whether the user gave it.
func resolve(k *Key, given map[string]value) (v value, ok bool) {
	if v, ok := given[k.Name]; ok {
		return v, true
	}
	if k.Inherits != "" {
		parent := lookup(k.Inherits)
		v, _ := resolve(parent, given)
		return v, false
	}
	return value{name: k.Name, text: k.Default}, false
}

// unknown judges a key that is not in the table.
func unknown(bare string, v value) ([]Warning, error) {
	near := nearest(bare)
	if !strings.HasPrefix(v.name, Prefix) {
		e := v.refuse(ErrUnknownKey)
		e.Nearest = near
		return nil, e
	}
	if near == "" {
		for _, n := range namespaces {
			if strings.HasPrefix(bare, n.prefix) {
				return []Warning{{v.name, fmt.Sprintf("%s has no effect: %s", v.name, n.why)}}, nil
			}
		}
		return []Warning{{v.name, v.name + " has no effect: it is not a key that this engine knows"}}, nil
	}
	return []Warning{{v.name, fmt.Sprintf("%s has no effect: it is not a key that this engine knows; did you mean %s?", v.name, Prefix+near)}}, nil
}

// reconcile settles what depends on several keys and returns warnings about
// keys that the others leave without effect.
func (s *Settings) reconcile(given map[string]value) []Warning {
	var out []Warning
	if s.Master.Given() {
		if v, ok := given["task.maxFailures"]; ok && s.Master.MaxFailures != s.MaxFailures {
			out = append(out, Warning{v.name, fmt.Sprintf(
				"%s=%s has no effect: the master %s sets the limit to %d, as in Spark's local mode (write local[N,M] for another)",
				v.name, v.text, s.Master, s.Master.MaxFailures)})
		}
		s.MaxFailures = s.Master.MaxFailures
		s.settle("task.maxFailures", strconv.Itoa(s.MaxFailures), Prefix+"master")
	}
	if s.MaxDirectResultSize > s.MaxMessageSize {
		if v, ok := given["task.maxDirectResultSize"]; ok {
			out = append(out, Warning{v.name, fmt.Sprintf("%s=%s is lowered to rpc.message.maxSize, %s", v.name, v.text, s.MaxMessageSize)})
		}
		s.MaxDirectResultSize = s.MaxMessageSize
		s.settle("task.maxDirectResultSize", strconv.FormatInt(int64(s.MaxMessageSize), 10), Prefix+"rpc.message.maxSize")
	}
	if s.Compression == CompressionNone {
		for _, name := range []string{"broadcast.compress", "rdd.compress", "shuffle.compress", "shuffle.spill.compress"} {
			if v, ok := given[name]; ok && strings.EqualFold(v.text, "true") {
				out = append(out, Warning{v.name, fmt.Sprintf(
					"%s=true has no effect while io.compression.codec is none: set that to lz4 or zstd", v.name)})
			}
		}
	}
	if s.Memory > 0 && s.Memory < units.MiB {
		v := given["driver.memory"]
		out = append(out, Warning{v.name, fmt.Sprintf("%s=%s is %s: a unit may be missing", v.name, v.text, s.Memory)})
	}
	return out
}

// settle makes Resolved tell the value that another key decided.
func (s *Settings) settle(key, text, source string) {
	i := slices.IndexFunc(s.entries, func(e Entry) bool { return e.Key == Prefix+key })
	s.entries[i].Value, s.entries[i].Source = text, source
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
