//go:build race

package engine_test

// raceEnabled makes the longest tests shorter.
const raceEnabled = true
