package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeAll makes dir and those of its parents that are not there, and returns
// what it made, the deepest first: for RemoveEmpty, when nothing comes of it.
func MakeAll(dir string) (made []string, err error) {
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break // it is there, or the making says what is wrong
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o777)
}

// RemoveEmpty removes those of the folders that are empty, in their order.
func RemoveEmpty(made []string) {
	for _, d := range made {
		_ = os.Remove(d) // not empty, or gone: nothing to do
	}
}
