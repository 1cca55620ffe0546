package conf

import (
	"slices"
	"strings"
)

// Prefix begins every key of Spark's; users may leave it out.
const Prefix = "spark."

// Kind says what text a key accepts.
type Kind uint8

// Kinds of value.
const (
	KindString Kind = iota
	KindBool
	KindInt
	KindFloat
	KindBytes    // "512MiB", "1g"; a bare number counts in Key.Unit
	KindDuration // "10s", "1min"; a bare number counts in Key.Unit
	KindChoice   // one of Key.Choices
)

// String returns the kind as documentation names it.
func (k Kind) String() string {
	return [...]string{"text", "true or false", "whole number", "number", "size", "duration", "choice"}[min(k, KindChoice)]
}

// Key is one row of the table of configuration keys.
type Key struct {
	Name     string // without Prefix
	Kind     Kind
	Default  string   // as a user would write it; empty: no value
	Inherits string   // key whose value is the default, when Default is empty
	Unit     string   // unit of a bare number: "b", "k", "m" for sizes, "ms", "s" for durations
	Min, Max string   // inclusive range, in the key's own syntax; empty: open
	Choices  []string // KindChoice: what is accepted, in any case
	Off      bool     // KindBytes: -1 is accepted, too, and means 0
	Spark    string   // Spark's default where ours differs; "-": Spark has no such key
	Doc      string   // what it does, in a sentence or two
	// Ignored says why the key has no effect here; empty for a key that we
	// honour. Setting an ignored key is a Warning, never silence.
	Ignored string

	bind func(*Settings) any // where the value goes; nil exactly when Ignored is set
}

// Honoured reports whether setting the key has an effect.
func (k *Key) Honoured() bool { return k.Ignored == "" }

// Accepts describes the values that the key takes, for messages and help:
// "a size from 16 KiB to 64 MiB, like 512MiB or 1g".
func (k *Key) Accepts() string {
	var b strings.Builder
	switch k.Kind {
	case KindBool:
		return "true or false"
	case KindChoice:
		return "one of " + strings.Join(k.Choices, ", ")
	case KindString:
		return "text"
	case KindInt:
		b.WriteString("a whole number")
	case KindFloat:
		b.WriteString("a number")
	case KindBytes:
		b.WriteString("a size")
	case KindDuration:
		b.WriteString("a duration")
	}
	switch {
	case k.Min != "" && k.Max != "":
		b.WriteString(" from " + k.Min + " to " + k.Max)
	case k.Min != "":
		b.WriteString(" not below " + k.Min)
	case k.Max != "":
		b.WriteString(" not above " + k.Max)
	}
	if k.Off {
		b.WriteString(", or -1")
	}
	switch k.Kind {
	case KindBytes:
		b.WriteString(", like 512MiB or 1g (a bare number counts " + unitNames[k.Unit] + ")")
	case KindDuration:
		b.WriteString(", like 200ms or 10s (a bare number counts " + unitNames[k.Unit] + ")")
	}
	return b.String()
}

var unitNames = map[string]string{
	"b": "bytes", "k": "KiB", "m": "MiB", "ms": "milliseconds", "s": "seconds",
}

// Keys returns every key of the table, sorted by name. The caller may keep
// and change the slice.
func Keys() []Key { return slices.Clone(table) }

func lookup(bare string) *Key {
	i, ok := slices.BinarySearchFunc(table, bare, func(k Key, name string) int { return strings.Compare(k.Name, name) })
	if !ok {
		return nil
	}
	return &table[i]
}

// table is every key, sorted by name; the rows stand in the table_*.go
// files, by what they are about.
var table = func() []Key {
	all := slices.Concat(sessionKeys, memoryKeys, schedulerKeys, speculationKeys, exclusionKeys, resultKeys, shuffleKeys, eventKeys, ignoredKeys)
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return all
}()

// namespace is a family of Spark's keys that as a whole has no effect here.
type namespace struct{ prefix, why string }

// namespaces are looked at when no key of the table matches.
var namespaces = []namespace{
	{"sql.", "there is no SQL layer here"},
	{"hadoop.", "there is no Hadoop here; files are the local ones"},
	{"yarn.", "there is no YARN cluster; everything runs in one process"},
	{"kubernetes.", "there is no Kubernetes cluster; everything runs in one process"},
	{"mesos.", "there is no Mesos cluster; everything runs in one process"},
	{"deploy.", "there is no standalone cluster; everything runs in one process"},
	{"dynamicAllocation.", "the number of workers is fixed for a session"},
	{"decommission.", "the number of workers is fixed for a session"},
	{"storage.decommission.", "the number of workers is fixed for a session"},
	{"executorEnv.", "workers are threads of one process and share its environment"},
	{"executor.", "workers are threads of one process"},
	{"driver.", "driver and workers are one process"},
	{"ui.", "there is no web interface; reports are made from the run folder"},
	{"history.", "this is a setting of Spark's History Server itself"},
	{"metrics.", "metrics go to the run folder"},
	{"network.", "no data crosses a network"},
	{"rpc.", "no message crosses a network"},
	{"ssl.", "no data crosses a network"},
	{"authenticate", "no data crosses a network"},
	{"port.", "no data crosses a network"},
	{"kryo", "rows are encoded by the codecs of the engine"},
	{"serializer", "rows are encoded by the codecs of the engine"},
	{"jars", "programs are Go executables"},
	{"submit.", "programs are Go executables"},
	{"python.", "programs are Go executables"},
	{"pyspark.", "programs are Go executables"},
	{"r.", "programs are Go executables"},
	{"plugins", "programs are Go executables"},
	{"streaming.", "there is no streaming layer here"},
	{"resources.", "cores are the only resource of a task"},
	{"worker.", "there is no standalone cluster; everything runs in one process"},
	{"master.", "there is no standalone cluster; everything runs in one process"},
	{"connect.", "there is no Spark Connect server here"},
	{"cleaner.", "what a job leaves is removed when its owner is closed"},
	{"shuffle.push.", "no shuffle block crosses a network"},
	{"shuffle.service.", "shuffle blocks are served by the session itself"},
	{"shuffle.io.", "no shuffle block crosses a network"},
	{"shuffle.registration.", "no shuffle block crosses a network"},
}
