package workloads

import (
	"fmt"
	"sort"
	"strings"
)

// Nearest returns the candidate that a mistyped name most likely means: the
// one with the fewest insertions, deletions, replacements and swaps of
// neighbours, at most a third of the name's length and never fewer than two
// allowed. It returns "" when none is near; ties go to the first in
// alphabetical order.
func Nearest(name string, candidates []string) string {
	limit := max(2, len(name)/3)
	best, found := limit+1, ""
	sorted := append([]string(nil), candidates...)
	sort.Strings(sorted)
	for _, c := range sorted {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < best {
			best, found = d, c
		}
	}
	// Two edits turn any two-letter word into any other: no likeness.
	if best >= len(name) {
		return ""
	}
	return found
}

// distance is the optimal string alignment distance of a and b, in
// len(a)·len(b) steps.
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

// unknown is the error for a name that is none of the known ones.
func unknown(what, name string, known []string) error {
	if near := Nearest(name, known); near != "" {
		return fmt.Errorf("%s %q; did you mean %q?", what, name, near)
	}
	sorted := append([]string(nil), known...)
	sort.Strings(sorted)
	return fmt.Errorf("%s %q: there are %s", what, name, strings.Join(sorted, ", "))
}
