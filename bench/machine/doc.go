// Package machine reads what a benchmark must know of the machine it runs
// on: how many processors and how much memory this process may use and who
// says so ([Limits]), what the machine is ([Facts]), what disturbed it
// ([Noise]), and how fast its disk is ([ProbeDisk]).
//
// It changes nothing: setting masks and limits is package proc's part. All
// of it is read through an fs.FS rooted at /, so that tests give it other
// machines. Where the system does not say (other systems than Linux, files
// that a container hides), the field is left zero and its source says
// "unknown"; nothing here fails a run.
package machine

import (
	"io/fs"
	"os"
)

// Root is the file system of this machine, for the functions that ask for
// one.
func Root() fs.FS { return os.DirFS("/") }
