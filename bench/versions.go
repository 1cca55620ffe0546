package bench

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/execbench/execbench/bench/folder"
)

// ReadVersions says what this executable was built from.
func ReadVersions() folder.Versions {
	v := folder.Versions{Version: "(unknown)", Go: runtime.Version(), GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG")}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	if v.Version == "" {
		v.Version = "(devel)"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
