// Package workloads holds the registry of workloads and what every one of
// them shares.
//
// A [Workload] is a piece of work that can be made, run and checked: a
// generator of its input, a lineage of datasets, the timed job, and a
// verifier that computes the answer another way. Its nouns:
//
//   - [Param] and [Values]: typed parameters with defaults and ranges, and
//     one choice of them;
//   - [Input]: the files that a run reads, generated or the user's own;
//   - [Answer]: what a run produced; [Verdict]: whether it is right;
//   - [Gen]: the means given to generators and verifiers (cores, memory).
//
// A workload lives in a folder of its own (terasort, wordcount, tasks) and
// becomes known through [Register], which also makes its lineage a program
// of the engine, so that another process of the same executable can rebuild
// it from data. The package neither times nor reports anything: that is the
// harness's part.
//
// One's own workload, whole:
//
//	var squares = &workloads.Workload{
//		Name:    "squares",
//		Summary: "sums the squares below n",
//		Params:  []workloads.Param{{Name: "n", Kind: workloads.Int, Default: "1000", Min: "1", Doc: "how many numbers"}},
//		Build: func(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
//			n := v.Int("n")
//			return engine.FromFunc(s, "numbers", 4, func(t *engine.Task, part int, emit func([]int64) error) error {
//				for i := int64(part); i < n; i += 4 {
//					if err := emit([]int64{i * i}); err != nil {
//						return err
//					}
//				}
//				return nil
//			}), nil
//		},
//		Run: func(ctx context.Context, s *engine.Session, built any, v workloads.Values, out string) (*workloads.Answer, error) {
//			sum, err := built.(*engine.Dataset[int64]).Fold(ctx, 0, func(a, b int64) int64 { return a + b })
//			return &workloads.Answer{Records: v.Int("n"), Checksum: strconv.FormatInt(sum, 10)}, err
//		},
//		Verify: …
//	}
package workloads
