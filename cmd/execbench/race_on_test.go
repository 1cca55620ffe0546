//go:build race

package main

// raceEnabled tells that the test runs under the race detector, and with it
// the program.
const raceEnabled = true
