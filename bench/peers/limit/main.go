// Command limit is what the machine allows: one program for each workload of
// the comparison in bench/peers, each written by hand for its data and doing
// nothing else. It plans nothing, measures no parts, keeps to no budget,
// survives no error and takes what it knows for granted: that records have
// 100 bytes, that keys of a table are unique, that numbers are short. It is a
// floor to be measured against, not an engine.
//
//	limit sort IN OUT                  records of 100 bytes by their first 10
//	limit lines IN OUT                 records that end in LF alone, for sort
//	limit words IN OUT                 how often each word occurs
//	limit groupby ROWS KEYS            count, sum and mean by key, over arrays
//	limit groupby-csv IN KEYS          the same from a file of id,v,f
//	limit join ROWS KEYS [dense [told]] count and sums over matches, over arrays
//	limit links IN.csv OUT             makes pairs of 32-bit numbers of a CSV of links
//	limit pagerank IN NODES ROUNDS     IN of limit links, or the CSV itself
//	limit kmeans POINTS ROUNDS         20 dimensions, 10 centres
//	limit tasks WAY N                  N empty tasks; limit tasks lists the ways
//	limit copy IN OUT                  the bytes of a file, to know the disk
//
// Programs over arrays make their data first, run once to touch all memory,
// and print "@ query SECONDS" for each of three runs. All use two threads.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// threads is how many goroutines share the work; the comparison is one of
// two cores.
const threads = 2

// programs are the workloads, each with the arguments that it must have.
var programs = map[string]struct {
	arguments int
	run       func(args []string) error
}{
	"sort":        {2, func(a []string) error { return sortRecords(a[0], a[1]) }},
	"words":       {2, func(a []string) error { return countWords(a[0], a[1]) }},
	"groupby":     {2, groupByArrays},
	"groupby-csv": {2, groupByCSV},
	"join":        {2, joinArrays},
	"lines":       {2, func(a []string) error { return makeLines(a[0], a[1]) }},
	"links":       {2, func(a []string) error { return packLinks(a[0], a[1]) }},
	"pagerank":    {3, pageRank},
	"kmeans":      {2, kMeans},
	"tasks":       {0, emptyTasks},
	"copy":        {2, func(a []string) error { return copyFile(a[0], a[1]) }},
}

func main() {
	runtime.GOMAXPROCS(threads)
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("it needs the name of a workload; see go doc ./bench/peers/limit")
	}
	p, ok := programs[args[0]]
	if !ok {
		return fmt.Errorf("there is no workload %q; see go doc ./bench/peers/limit", args[0])
	}
	if len(args)-1 < p.arguments {
		return fmt.Errorf("%s needs %d arguments, it has %d", args[0], p.arguments, len(args)-1)
	}
	return p.run(args[1:])
}

// numbers reads whole numbers, also those written as 1e7.
func numbers(args ...string) ([]int, error) {
	out := make([]int, len(args))
	for i, a := range args {
		v, err := strconv.ParseFloat(a, 64)
		if err != nil || v < 1 || v > 1<<40 || v != float64(int(v)) {
			return nil, fmt.Errorf("cannot read %q as a count", a)
		}
		out[i] = int(v)
	}
	return out, nil
}

// answer prints what a program found, so that it cannot be left out.
func answer(v ...any) { fmt.Println(append([]any{"answer"}, v...)...) }

// timed runs a query once to touch its memory, then three times on the clock.
func timed(query func() string) {
	answer(query())
	for range 3 {
		began := time.Now()
		query()
		fmt.Printf("@ query %.6f\n", time.Since(began).Seconds())
	}
}
