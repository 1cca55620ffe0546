package machine

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// cpuModel returns the processor's name.
func cpuModel(fs.FS) string {
	name, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return name
}
