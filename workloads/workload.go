package workloads

import (
	"context"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// Workload is one piece of work for the engine. Fill it once, in a package
// variable, and hand it to Register; it must not change afterwards. The
// functions may be called any number of times, but never two of one
// workload at once in a session.
type Workload struct {
	// Name is what the user types: lower case, no spaces.
	Name string
	// Summary is one line for the list of workloads.
	Summary string
	// Doc teaches: what the job does, what its parameters do to it, how it is
	// verified, and example commands. Plain text of at most 80 columns.
	Doc string
	// Stresses names the resources that bound the job, for the list.
	Stresses string
	// Params are all the parameters that Values may hold. Those named size,
	// records, seed and partitions mean the same in every workload that has
	// them.
	Params []Param

	// Check looks at the parameters together; each alone has been checked.
	// nil means that every combination will do.
	Check func(v Values) error
	// DataBytes says how many bytes Generate will write. nil when there is no
	// Generate.
	DataBytes func(v Values) int64
	// Generate writes the input into dir, an empty folder that the caller
	// removes when it fails and renames when it succeeds. The bytes depend on
	// the Data parameters in v alone, never on g. It holds no more than
	// g.Memory. nil means that the workload reads no input.
	Generate func(ctx context.Context, g Gen, v Values, dir string) error
	// Build lays out the datasets and returns whatever Run needs of them. It
	// runs no action, and builds the same lineage in the same order for the
	// same v and in: it is called again in other processes. The functions
	// that it gives to datasets are shared by all tasks and called from
	// several at once, where Spark copies a closure for every task: they must
	// not change what they capture.
	Build func(s *engine.Session, v Values, in Input) (any, error)
	// Step builds what Run goes on with when it knows what an action returned:
	// it is Program.Step of the workload's program, which Run calls by
	// s.Step(base, params). base is what Build or an earlier Step returned. The
	// rules of Build hold for it. nil means that Build lays out everything.
	Step func(s *engine.Session, base any, params []byte) (any, error)
	// Prepare runs what comes before the clock starts: loading a table into
	// the cache, say. It is called once for every call of Build whose result
	// goes to Run. nil means that there is nothing to prepare.
	Prepare func(ctx context.Context, s *engine.Session, built any, v Values) error
	// Run is the timed job, from its submission to its committed output in
	// the folder out, which does not exist before. Workloads without output
	// files ignore out. It reads no output back: Verify does that.
	Run func(ctx context.Context, s *engine.Session, built any, v Values, out string) (*Answer, error)
	// Measure makes figures that need jobs of their own. It runs once, after
	// the timed jobs and outside their time; nil means none.
	Measure func(ctx context.Context, s *engine.Session, v Values) ([]Figure, error)
	// Verify computes the answer another way, without the engine, within
	// g.Memory. It fills a.Checksum if Run left it empty. The error says that
	// it could not verify; a wrong answer is a Verdict that is not OK.
	Verify func(ctx context.Context, g Gen, v Values, in Input, a *Answer) (*Verdict, error)
	// VerifyDir verifies an output folder by itself, against the input when
	// in is not nil. nil means that the workload writes no files.
	VerifyDir func(ctx context.Context, g Gen, v Values, dir string, in *Input) (*Verdict, error)
}

// Param returns the parameter called name.
func (w *Workload) Param(name string) (Param, bool) {
	for _, p := range w.Params {
		if p.Name == name {
			return p, true
		}
	}
	return Param{}, false
}

// Gen is what a generator or verifier may use.
type Gen struct {
	// Cores is how many goroutines may compute at once; 0 means 1.
	Cores int
	// Memory bounds what may be held at once; 0 means 64 MiB. The fixed
	// buffers of a few MiB that a generator cannot do without are part of it.
	Memory units.Bytes
	// Progress is told how far the work is, in bytes. It is never called by
	// two goroutines at once. nil: nobody wants to know.
	Progress func(done, total int64)
}

// Input is what a run reads.
type Input struct {
	Paths     []string // files and folders, as given or as generated
	Generated bool     // made by the workload's own generator
	Checksum  string   // of the data, for the record; may be empty
}

// Answer is what one run of the job produced.
type Answer struct {
	Dir     string // the output folder; empty when the job writes no files
	Records int64  // records written or returned
	Bytes   int64  // bytes written
	// Checksum is the same for the same input whatever the cores, the
	// partitions and the memory. Verify fills it where only the output tells.
	Checksum string
	Figures  []Figure
	// Rest computes, from what Run kept in memory, the part of the answer that
	// nobody asked the job for: a checksum to verify it by. It is called once,
	// after the clock stopped and before that memory is given back. nil means
	// that the answer is complete.
	Rest func(ctx context.Context) error
	// Detail is what a workload's Run hands to its own Verify; nobody else
	// looks at it.
	Detail any
}

// Figure is one number that a workload reports beside its time.
type Figure struct {
	Name  string
	Value float64
	Unit  string // base units: "s", "B", "B/s", "1/s", "1"
}

// Verdict is what a verifier found.
type Verdict struct {
	OK     bool // every check is OK
	Checks []Check
}

// Check is one thing a verifier looked at.
type Check struct {
	Name string
	Want string
	Got  string
	OK   bool
}

// add appends a check and keeps OK true only while all are.
func (v *Verdict) add(c Check) {
	if len(v.Checks) == 0 {
		v.OK = true
	}
	v.Checks = append(v.Checks, c)
	v.OK = v.OK && c.OK
}

// Expect adds the check that got equals want.
func (v *Verdict) Expect(name, want, got string) {
	v.add(Check{Name: name, Want: want, Got: got, OK: want == got})
}

// Judge adds a check that was decided by the caller.
func (v *Verdict) Judge(name string, ok bool, want, got string) {
	v.add(Check{Name: name, Want: want, Got: got, OK: ok})
}

// Note adds a finding that cannot be wrong, such as the number of duplicate
// keys.
func (v *Verdict) Note(name, got string) {
	v.add(Check{Name: name, Want: "any", Got: got, OK: true})
}

// Failed returns the checks that are not OK.
func (v *Verdict) Failed() []Check {
	var bad []Check
	for _, c := range v.Checks {
		if !c.OK {
			bad = append(bad, c)
		}
	}
	return bad
}
