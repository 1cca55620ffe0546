// Package compare says whether one run was faster than another, from their
// run folders alone.
//
// It owns the Verdict in four words (better, worse, same, unsure), the
// statistics behind it, and the list of what makes two runs incomparable. It
// runs nothing.
//
//	old, err := compare.Open("results/before")
//	new, err := compare.Open("results/after")
//	r, err := compare.Compare(old, new, compare.Options{})
//	fmt.Println(r.Verdict) // of the times; r.Parts says which stage and part
//
// # How a verdict is reached
//
//  1. The two-sided Mann–Whitney test asks whether the values of one side
//     are shifted: exact over all ways to deal out the observed ranks for up
//     to 50 values, ties included, else the normal approximation.
//  2. Holm's correction keeps the chance that a whole table reports any
//     change, when nothing changed, below Alpha.
//  3. A bootstrap gives an interval of the ratio of the medians.
//  4. A change that is significant after 2 and at least MinEffect is "better"
//     or "worse". An interval that lies within ±MinEffect is "same". All else
//     is "unsure", and says how many iterations would have been enough.
//
// The runs' times are one table and decide; the parts of the stages are
// another, and say where. Iterations of one process share its fortune: what
// differs between processes (memory layout, neighbours) is not in them. A side
// of several runs of a workload has it: there the values are those of runs,
// each by its median iteration, and runs of the two sides that are made in
// turns share what the machine does meanwhile.
package compare
