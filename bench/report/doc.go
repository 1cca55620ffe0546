// Package report computes everything that a report says of a run from the
// run's events alone, and writes it as tables or JSON.
//
// It owns the Model (jobs, stage attempts, where their time went, accounts of
// worker time and memory), Figures (what is known of one attempt, and the
// sums and quantiles of it over a stage) and the table of attempts. It takes
// no measurement, reads no clock and knows nothing of run folders or samples
// beyond what events tell; comparing runs is not its business.
//
//	m, err := report.Load(report.FileSource("events.bin"), report.Options{})
//	if err != nil {
//		return err
//	}
//	return m.Write(os.Stdout, report.Terminal, report.Show{})
//
// Events are read several times instead of being kept: a model of a million
// attempts needs the memory of Options.MemoryLimit, not of the attempts.
//
// # Quantiles
//
// Quantiles are Spark's: the value at index min(floor(q·n), n−1) of the
// ascending values, without interpolation, over successful attempts that
// reported metrics, each figure sorted by itself (source: Spark's
// AppStatusStore; spark-semantics §11). Totals are over all attempts.
package report
