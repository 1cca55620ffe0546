// Package explain says what bounds a run, and how much faster it would be
// without it, from the run's events alone.
//
// It owns the replay: the recorded tasks, scheduled anew onto the same number
// of workers, once as they were and once for each question. It measures
// nothing and knows nothing of run folders.
//
//	x, err := explain.Explain(report.FileSource("events.bin"))
//	if err != nil {
//		return err
//	}
//	return x.Write(os.Stdout)
//
// # Blocked-time answers
//
// An attempt's time on its worker is the sum of parts (package report). Each
// question takes some of it away from every attempt, and list scheduling of
// what is left, in the order of the recorded launches, tells when the run
// would have ended:
//
//	no disk          without input read, output write, spill, and waiting for fetched data
//	no spilling      without spill alone: memory enough
//	no collector     without the collector's share of the processors
//	even tasks       every task as long as the mean of its stage
//	free scheduling  without launch, decode, hand-over and the driver's steps between stages
//	instant compute  without compute, shuffle write and result encode
//
// (source: Ousterhout et al., Making Sense of Performance in Data Analytics
// Frameworks, NSDI 2015, §2). They are bounds: what shares a processor or a
// disk with the part taken away would get faster too, and is not. How far the
// replay of the unchanged tasks is off the measured time is told with them.
//
// # The bound
//
//  1. Of processor, disk and scheduling, the one with the largest share of
//     the workers' busy time comes first.
//  2. The collector and skew are waste beside it: each is a candidate when
//     the run without it takes at least a fifth less; skew only when tasks are
//     uneven in what they need themselves, too, and not because one of them
//     waited for a processor that other programs had. Time of the program
//     between its jobs is one from a third on.
//  3. The candidate whose removal saves most is the bound; without any, it
//     is the processor.
package explain
