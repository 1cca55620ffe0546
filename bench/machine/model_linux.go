package machine

import (
	"io/fs"
	"strings"
)

// cpuModel returns the first processor's name.
func cpuModel(root fs.FS) string {
	for line := range strings.Lines(read(root, "proc", "cpuinfo")) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			switch strings.TrimSpace(key) {
			case "model name", "Model", "uarch":
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}
