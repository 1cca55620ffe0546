package profiles

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what a capture looks at.
type Kind uint8

// The kinds of captures.
const (
	CPU       Kind = iota // where processor time goes, 100 samples per second and thread
	Heap                  // what is in use when the capture ends, after a collection; what it allocated beside it
	Allocs                // what was allocated during the capture
	Mutex                 // who held locks for which others waited
	Block                 // where goroutines waited
	Goroutine             // where every goroutine is at the moment the capture ends
	Trace                 // the execution trace, for "go tool trace"
	kindCount
)

var kindNames = [kindCount]string{"cpu", "heap", "allocs", "mutex", "block", "goroutine", "trace"}

// Kinds returns the names of all kinds.
func Kinds() []string { return kindNames[:] }

// String returns the kind's name.
func (k Kind) String() string { return kindNames[min(k, kindCount-1)] }

// File returns the name of the kind's file.
func (k Kind) File() string {
	if k == Trace {
		return "trace.out"
	}
	return k.String() + ".pb.gz"
}

// ParseKind reads the name of a kind.
func ParseKind(name string) (Kind, error) {
	i := slices.Index(kindNames[:], strings.TrimSpace(name))
	if i < 0 {
		return 0, fmt.Errorf("cannot take a profile of kind %q: the kinds are %s", name, strings.Join(kindNames[:], ", "))
	}
	return Kind(i), nil
}

// ParseKinds reads names of kinds with commas between them, each once; "all"
// stands for every kind. The empty text is no kind.
func ParseKinds(list string) ([]Kind, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var kinds []Kind
	for name := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(name) == "all" {
			for k := range kindCount {
				if !slices.Contains(kinds, k) {
					kinds = append(kinds, k)
				}
			}
			continue
		}
		k, err := ParseKind(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}
