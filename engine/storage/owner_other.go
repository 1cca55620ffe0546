//go:build !unix || solaris || illumos || aix

package storage

// ownerLock is nothing on systems without flock: there no folder is ever
// taken for stale.
type ownerLock struct{}

func lockOwner(string) (*ownerLock, error) { return &ownerLock{}, nil }
func (*ownerLock) release()                {}
func stale(string, int) bool               { return false }
