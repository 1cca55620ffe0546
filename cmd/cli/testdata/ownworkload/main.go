package main

import (
	"context"
	"fmt"
	"os"

	"github.com/execbench/execbench/cmd/cli"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

var squares = &workloads.Workload{
	Name:    "squares",
	Summary: "add up the squares of the numbers below n",
	Params:  []workloads.Param{{Name: "n", Kind: workloads.Int, Default: "1000000", Min: "1", Max: "1000000", Doc: "how many numbers"}},
	Build: func(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
		numbers := engine.Range(s, v.Int("n"), 8)
		return engine.Map(numbers, func(i int64) int64 {
			sum := int64(0)
			for range repeats {
				sum += i * i
			}
			return sum / repeats
		}), nil
	},
	Run: func(ctx context.Context, _ *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
		sum, err := built.(*engine.Dataset[int64]).Fold(ctx, 0, func(a, b int64) int64 { return a + b })
		return &workloads.Answer{Records: v.Int("n"), Checksum: fmt.Sprint(sum)}, err
	},
	Verify: func(_ context.Context, _ workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
		n, verdict := v.Int("n"), &workloads.Verdict{}
		verdict.Expect("sum", fmt.Sprint((n-1)*n*(2*n-1)/6), a.Checksum)
		return verdict, nil
	},
}

const repeats = 200 // something to do

func main() { os.Exit(cli.Main(squares)) }
