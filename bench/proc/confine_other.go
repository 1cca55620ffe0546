//go:build !linux

package proc

import "errors"

// confine has no form on this system.
func confine([]int) (func() error, error) {
	return nil, errors.New("cannot confine the process to some processors: this system has no affinity masks")
}
