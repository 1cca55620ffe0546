package conf

import (
	"fmt"
	"regexp"
	"strconv"
)

// Master is what a master URL of local mode says. The zero Master stands for
// none given.
type Master struct {
	Text        string // as given
	Cores       int    // 0: all that the process may use (local[*])
	MaxFailures int    // failures of one task that abort its job; 1: no retry
}

// Given reports whether a master was given at all.
func (m Master) Given() bool { return m.Text != "" }

// String returns the master as it was given.
func (m Master) String() string { return m.Text }

var localMaster = regexp.MustCompile(`^local(?:\[\s*(\*|[0-9]+)\s*(?:,\s*([0-9]+)\s*)?\])?$`)

// ParseMaster reads a master URL in the forms of Spark's local mode:
//
//	local        one core, no retry
//	local[N]     N cores, no retry; local[*] takes all cores
//	local[N,M]   N cores, and M failures of one task abort its job
//
// Everything else, cluster masters included, is an error that says what is
// accepted. Source: spark-semantics §8.
func ParseMaster(s string) (Master, error) {
	refuse := func(why string) (Master, error) {
		return Master{}, fmt.Errorf("cannot use %q as the master: %s; accepted are local, local[N], local[*], local[N,M] and local[*,M]", s, why)
	}
	m := localMaster.FindStringSubmatch(s)
	if m == nil {
		return refuse("this engine runs in one process on one machine")
	}
	out := Master{Text: s, Cores: 1, MaxFailures: 1}
	switch m[1] {
	case "":
	case "*":
		out.Cores = 0
	default:
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > maxCores {
			return refuse(fmt.Sprintf("%s is not a number of cores from 1 to %d", m[1], maxCores))
		}
		out.Cores = n
	}
	if m[2] != "" {
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 || n > maxInt32 {
			return refuse(m[2] + " is not a number of failures, at least 1")
		}
		out.MaxFailures = n
	}
	return out, nil
}

const (
	// maxCores bounds what is believed of a number of cores: beyond it, a
	// worker table would be a mistake of the user's paid in memory.
	maxCores = 1 << 16
	maxInt32 = 1<<31 - 1
)
