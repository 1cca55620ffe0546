package proc

import (
	"time"

	"github.com/execbench/execbench/engine/units"
)

// Usage is what the process has used since it began.
type Usage struct {
	User    time.Duration
	System  time.Duration
	PeakRSS units.Bytes // the kernel's high-water mark
}

// CPU is the processor time, in user code and in the kernel.
func (u Usage) CPU() time.Duration { return u.User + u.System }
