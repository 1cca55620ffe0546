//go:build !unix

package proc

// ReadUsage is unknown on this system.
func ReadUsage() Usage { return Usage{} }
