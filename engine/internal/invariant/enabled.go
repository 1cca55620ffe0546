//go:build invariants || race

package invariant

// Enabled says whether costly checks run, and whether freed memory is
// poisoned: here they do.
const Enabled = true
