//go:build race

package memory

// raceBuild takes pages from the heap: the race detector does not see
// mapped memory.
const raceBuild = true
