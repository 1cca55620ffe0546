package fsys

import (
	"errors"
	"os"
)

// DirectAlign is what the place in the file, the length and the address of a
// direct write must be multiples of: no device in use asks for more.
const DirectAlign = 4 << 10

// SetDirect makes what is written to f from now on go to the device past the
// file cache, or through the cache again. A write that goes past it returns
// when the device has the bytes. The error, which wraps errors.ErrUnsupported
// where the system has no such thing, says that f goes on as before.
func SetDirect(f File, on bool) error {
	switch f := f.(type) {
	case *os.File:
		return setDirect(f, on)
	case interface{ SetDirect(on bool) error }:
		return f.SetDirect(on)
	}
	return errors.ErrUnsupported
}
