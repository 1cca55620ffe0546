//go:build !race

package engine_test

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine"
)

// The kernels that a program's own types make call nothing for a row but the
// user's function: what hashes a key and finds its place is inlined into
// them, by what instances.go does. The test reads the kernels' machine code in
// memory and looks at whom they call.
func TestKernelsCallNothingForARow(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage counts make functions too large to inline")
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-gcflags" {
				t.Skip("built with flags for the compiler")
			}
		}
	}
	kernelOf(t, "foldWords", func(i int64) int64 { return i })
	kernelOf(t, "foldWords", func(i int64) itemKey { return itemKey{1, uint32(i)} })
	kernelOf(t, "foldWords", func(i int64) spanKey { return spanKey{1, uint64(i)} })
	kernelOf(t, "foldTexts", func(i int64) string { return [...]string{"a", "b"}[i&1] })
}

// kernelOf finds the kernel that reduces by keys of a type, by who calls the
// user's function, and checks its calls.
func kernelOf[K any](t *testing.T, kernel string, key func(i int64) K) {
	t.Helper()
	s := start(t, engine.Config{Cores: 1}).Session
	pairs := engine.Map(engine.Range(s, 1000, 1), func(i int64) engine.Pair[K, int64] {
		return engine.Pair[K, int64]{Key: key(i % 2), Value: i}
	})
	var caller [1]uintptr
	add := func(a, b int64) int64 {
		if caller[0] == 0 {
			runtime.Callers(2, caller[:])
		}
		return a + b
	}
	if n, err := engine.ReduceByKey(pairs, add, engine.Partitions(1)).Count(t.Context()); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if name := runtime.FuncForPC(caller[0] - 1).Name(); !strings.Contains(name, kernel) {
		t.Fatalf("%s calls the user's function, not %s", name, kernel)
	}
	for _, name := range calls(caller[0] - 1) {
		short := name[strings.LastIndexByte(name, '/')+1:]
		switch {
		case strings.HasPrefix(short, "runtime."): // a panic, or more stack
		case strings.HasSuffix(short, ".search"), strings.HasSuffix(short, ".start"): // a key not in its first slot, a new key
		case strings.HasPrefix(short, "spill.textsOf"), strings.HasSuffix(short, ".forms"), short == "codec.TextTokens": // once a batch
		default:
			t.Errorf("%s of %T keys calls %s", kernel, *new(K), short)
		}
	}
}

// calls returns the functions that the one around pc calls by name: a call is
// a byte 0xe8 and the distance to the start of a function.
func calls(pc uintptr) (names []string) {
	entry := runtime.FuncForPC(pc).Entry()
	for at := entry; ; at++ {
		if f := runtime.FuncForPC(at); f == nil || f.Entry() != entry {
			return names
		}
		code := *(**[5]byte)(unsafe.Pointer(&at)) // of the program's text, which stays
		if code[0] != 0xe8 {
			continue
		}
		to := at + 5 + uintptr(int32(uint32(code[1])|uint32(code[2])<<8|uint32(code[3])<<16|uint32(code[4])<<24))
		if f := runtime.FuncForPC(to); f != nil && f.Entry() == to {
			names = append(names, f.Name())
		}
	}
}
