//go:build !unix

package main

import (
	"os"

	"github.com/execbench/execbench/engine/units"
)

// peakRSS is unknown on this system.
func peakRSS(*os.ProcessState) units.Bytes { return 0 }
