package terasort

import (
	"context"
	"fmt"
	"strconv"

	"github.com/execbench/execbench/workloads"
)

// verify validates the output as valsort does and compares count and
// checksum with those of the input.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, in workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	verdict, out, err := verifyFiles(ctx, g, a.Dir, &in)
	if err != nil {
		return nil, err
	}
	verdict.Expect("records as the job counted them", strconv.FormatInt(out.records, 10), strconv.FormatInt(a.Records, 10))
	a.Checksum = out.checksum()
	return verdict, nil
}

// verifyDir is verify for a folder of which no run is known.
func verifyDir(ctx context.Context, g workloads.Gen, v workloads.Values, dir string, in *workloads.Input) (*workloads.Verdict, error) {
	verdict, _, err := verifyFiles(ctx, g, dir, in)
	return verdict, err
}

func verifyFiles(ctx context.Context, g workloads.Gen, dir string, in *workloads.Input) (*workloads.Verdict, summary, error) {
	files, err := workloads.OutputFiles(dir)
	if err != nil {
		return nil, summary{}, err
	}
	out, err := validate(ctx, g, files)
	if err != nil {
		return nil, summary{}, err
	}
	verdict := &workloads.Verdict{}
	order := "every key at or above the one before"
	got := order
	if out.unordered > 0 {
		got = fmt.Sprintf("%d records out of order, the first is record %d, %s", out.unordered, out.firstUnordered, place(files, out.firstUnordered))
	}
	verdict.Expect("order within and across files", order, got)
	if in == nil {
		verdict.Note("records", strconv.FormatInt(out.records, 10))
		verdict.Note("checksum", out.checksum())
	} else {
		inputs, err := inputFiles(in.Paths)
		if err != nil {
			return nil, summary{}, err
		}
		want, err := validate(ctx, g, inputs) // its order does not matter
		if err != nil {
			return nil, summary{}, err
		}
		verdict.Expect("records", strconv.FormatInt(want.records, 10), strconv.FormatInt(out.records, 10))
		verdict.Expect("checksum", want.checksum(), out.checksum())
	}
	verdict.Note("duplicate keys", strconv.FormatInt(out.duplicates, 10))
	return verdict, out, nil
}

// place says where in files record n stands.
func place(files []workloads.File, n int64) string {
	for _, f := range files {
		if k := f.Bytes / recordSize; n >= k {
			n -= k
			continue
		}
		return fmt.Sprintf("number %d of %s", n, f.Path)
	}
	return "past the end"
}

// inputFiles lists the input and checks that it is made of whole records.
func inputFiles(paths []string) ([]workloads.File, error) {
	files, err := workloads.InputFiles(paths)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := wholeRecords(f); err != nil {
			return nil, err
		}
	}
	return files, nil
}
