//go:build !unix

package data

// alive cannot be asked here: everybody counts as living.
func alive(int) bool { return true }
