//go:build !linux && !darwin

package machine

import "io/fs"

// cpuModel is unknown on this system.
func cpuModel(fs.FS) string { return "" }
