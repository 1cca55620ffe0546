// Package terasort is the sort benchmark: records of 100 bytes, sorted by
// their first ten.
package terasort

import (
	"context"
	"fmt"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// Workload is the terasort workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:      "terasort",
	Summary:   "sort 100-byte records by their 10-byte keys",
	Stresses:  "memory bandwidth, shuffle, disk; spilling when memory is short",
	Doc:       doc,
	Params:    params,
	Check:     check,
	DataBytes: dataBytes,
	Generate:  generate,
	Build:     build,
	Run:       run,
	Verify:    verify,
	VerifyDir: verifyDir,
}

const doc = `Sorts records of 100 bytes by their first ten, which are compared as bytes:
the sort benchmark of Jim Gray, as TeraSort made it known for Hadoop.

A first job samples keys to find the ranges of the partitions. Then every map
task splits its part of the input by range, every reduce task sorts one range
and writes it to a file of its own. Read in the order of their numbers, the
files are the sorted whole.

What it stresses: all of the data crosses memory several times and none of it
gets smaller on the way, so memory bandwidth, shuffle and disk bound it, hardly
the processor. With less memory than about 1.5 times the data it spills.

The data are those of gensort, the sort benchmark's own generator (version 1.3
and later): equal byte for byte for the same range of record numbers, binary
or, with --ascii, printable. --start is gensort's -b; --seed S begins at
record S x 10^12, so that different seeds never overlap. Any file of 100-byte
records can be given with --input.

Verified as valsort does: every key at or above the one before it, within and
across files; as many records as the input has; the same sum of the CRC-32 of
every record; duplicate keys are counted. The checksum shown is the one that
gensort -c and valsort print.

  execbench run terasort --size 1GB
  execbench run terasort --size 1GB --memory 256MiB      # it spills
  execbench run terasort --records 1e6 --partitions 7 --output first
  execbench gen terasort --records 1e6 --ascii --out data
  execbench run terasort --input data --output sorted
  execbench verify terasort sorted --input data
`

var params = []workloads.Param{
	{Name: "size", Kind: workloads.Bytes, Default: "1GB", Min: "100", Data: true,
		Doc: "bytes of input; rounded down to whole records of 100 bytes"},
	{Name: "records", Kind: workloads.Int, Default: "0", Min: "0", Max: "90000000000000000", Data: true,
		Doc: "records of input, instead of size; 0 means by size"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Min: "0", Data: true,
		Doc: "the data begin at record seed x 10^12, plus start"},
	{Name: "start", Kind: workloads.Int, Default: "0", Min: "0", Data: true,
		Doc: "number of the first record, gensort's -b"},
	{Name: "ascii", Kind: workloads.Bool, Default: "false", Data: true,
		Doc: "printable records that end in CR LF, gensort's -a"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "output files; 0 means one for every 64 MiB of input, but at least two for each core"},
}

func check(v workloads.Values) error {
	if v.IsSet("size") && v.Int("records") > 0 {
		return fmt.Errorf("cannot use both size and records: give one of them")
	}
	return nil
}

// partitionBytes is the input for each partition when the user names no
// number: a partition is sorted in memory by one task, two at a time in half
// of a small budget.
const partitionBytes = 64 << 20

func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	files, err := inputFiles(in.Paths)
	if err != nil {
		return nil, err
	}
	parts := int(v.Int("partitions"))
	if parts == 0 {
		parts = max(2*s.Cores(), int(workloads.TotalBytes(files)/partitionBytes))
	}
	recs, err := engine.Records[Record](s, in.Paths, 0)
	if err != nil {
		return nil, err
	}
	sorted := engine.SortBy(recs, func(r Record) Key { return r.Key() }, engine.Partitions(parts))
	return engine.RecordSink(sorted), nil
}

func run(ctx context.Context, _ *engine.Session, built any, _ workloads.Values, out string) (*workloads.Answer, error) {
	w, err := built.(*engine.Sink).Write(ctx, out)
	if err != nil {
		return nil, err
	}
	return &workloads.Answer{Dir: out, Records: w.Records, Bytes: w.Bytes}, nil
}
