//go:build !linux

package main

// pages returns n bytes, zero.
func pages(n int) []byte { return make([]byte, n) }
