// Package archtest holds no code, only tests: who may import whom, where
// goroutines begin, and what nobody may call. They read the source of the
// whole module and need nothing but Go.
package archtest
