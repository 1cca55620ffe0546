// Package folder owns the run folder: everything that one run leaves, in
// one place that can be moved, and from which every report is made.
//
//	manifest.json  what was run, on what, how it was set up; its end, later
//	samples.jsonl  a line for every timed iteration and warm-up, as each ends
//	events.bin     every event of the engine (package event writes it)
//	log.txt        what the engine logged
//	bench.txt      the samples in the Go benchmark format, for benchstat
//	profiles/      the profiles that were asked for (package profiles writes them)
//	verdict.json   how the run ended, written whatever the end
//
// [Create] begins one and [Open] reads one back. A run that was killed leaves
// a folder that opens: with what is whole, and with Problems that say what is
// not. Units are base units (seconds, bytes), named at the end of the field.
//
// The package knows nothing of running and reads no events.
package folder

// Names of the files in a run folder.
const (
	ManifestFile = "manifest.json"
	SamplesFile  = "samples.jsonl"
	EventsFile   = "events.bin"
	LogFile      = "log.txt"
	BenchFile    = "bench.txt"
	VerdictFile  = "verdict.json"

	ProfilesFolder = "profiles"
)

// SchemaVersion is that of manifest, samples and verdict. It grows when a
// field changes its meaning or goes; new fields may come at any time.
const SchemaVersion = 1
