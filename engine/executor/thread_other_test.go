//go:build !linux

package executor_test

func threadID() int { return 0 }
