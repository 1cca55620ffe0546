package storage

import (
	"errors"
	"fmt"
)

// ErrBlockNotFound means that a block is not in the store: never written,
// removed, evicted from its last tier, or lost with its file.
var ErrBlockNotFound = errors.New("block not found")

// ErrCorrupt is what every damaged file is, for errors.Is. The error itself
// is a *[CorruptError].
var ErrCorrupt = errors.New("corrupt block")

// ErrClosed means that the store or the disk was closed.
var ErrClosed = errors.New("storage is closed")

// CorruptError says where a block's file is not what was written.
type CorruptError struct {
	Path   string
	Offset int64  // of the frame
	What   string // what is wrong
}

// Error names the file, the place and the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("cannot read block file %s at byte %d: %s", e.Path, e.Offset, e.What)
}

// Is reports that the error is an [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
