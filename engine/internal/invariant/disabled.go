//go:build !invariants && !race

package invariant

// Enabled says whether costly checks run, and whether freed memory is
// poisoned: in ordinary builds they do not.
const Enabled = false
