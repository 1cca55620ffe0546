package profiles

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"
)

var sink [][]byte

//go:noinline
func allocateHere(n int) {
	for range n {
		sink = append(sink, make([]byte, 1<<20))
	}
}

//go:noinline
func allocateBefore() { allocateHere(64) }

//go:noinline
func allocateDuring() { allocateHere(32) }

// contend makes goroutines wait for a lock and for a channel.
func contend() {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2000 {
				mu.Lock()
				runtime.Gosched()
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// names returns what lies in a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestEveryKindLeavesAFileThatTheToolsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	_, lookErr := exec.LookPath("go")
	for k := range kindCount {
		c, err := Start(dir, k)
		if err != nil {
			t.Fatal(err)
		}
		allocateDuring()
		contend()
		path, err := c.Stop()
		if err != nil {
			t.Fatal(err)
		}
		if path != filepath.Join(dir, k.File()) || names(t, filepath.Dir(path)) == "" {
			t.Errorf("%s went to %s", k, path)
		}
		if again, err := c.Stop(); again != path || err != nil {
			t.Errorf("%s stopped twice: %s, %v", k, again, err)
		}
		if k != Trace {
			p := read(t, path)
			if k != CPU && len(p.Sample) == 0 {
				t.Errorf("the %s profile is empty", k)
			}
		}
		if lookErr != nil {
			continue
		}
		command := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", path)
		if k == Trace {
			command = exec.CommandContext(t.Context(), "go", "tool", "trace", "-pprof=sched", path)
		}
		if out, err := command.Output(); err != nil || len(out) == 0 {
			t.Errorf("%s cannot read the %s profile: %v", strings.Join(command.Args[:3], " "), k, err)
		}
	}
	if got := names(t, dir); got != "allocs.pb.gz block.pb.gz cpu.pb.gz goroutine.pb.gz heap.pb.gz mutex.pb.gz trace.out" {
		t.Errorf("the folder holds %s", got)
	}
}

// cumOf adds up one sample type of the stacks on which a function is.
func cumOf(t *testing.T, path, sample, function string) int64 {
	t.Helper()
	top, err := NewTop(read(t, path), Options{Sample: sample})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range top.Rows {
		if strings.HasSuffix(r.Name, "."+function) {
			return r.Cum
		}
	}
	return 0
}

// A capture counts what happens while it is taken, not since the process
// began; what is in use is in use.
func TestACaptureBeginsWhenItBegins(t *testing.T) {
	rate := runtime.MemProfileRate
	sink = nil
	allocateBefore()
	for _, k := range []Kind{Allocs, Heap} {
		c, err := Start(t.TempDir(), k)
		if err != nil {
			t.Fatal(err)
		}
		allocateDuring()
		path, err := c.Stop()
		if err != nil {
			t.Fatal(err)
		}
		// Above the rate every allocation is sampled, or nearly: 1 MiB is two
		// means of the distance, so 86 % of 32 at the least likely.
		if n := cumOf(t, path, "alloc_space", "allocateBefore"); n != 0 {
			t.Errorf("%s counts %d bytes from before", k, n)
		}
		if n := cumOf(t, path, "alloc_space", "allocateDuring"); n < 16<<20 || n > 64<<20 {
			t.Errorf("%s counts %d bytes of 32 MiB", k, n)
		}
		if k == Heap {
			if n := cumOf(t, path, "inuse_space", "allocateBefore"); n < 32<<20 {
				t.Errorf("of 64 MiB from before, %d bytes are in use", n)
			}
		}
	}
	runtime.KeepAlive(sink)
	sink = nil
	if runtime.MemProfileRate != rate {
		t.Errorf("the rate of the memory profile has become %d", runtime.MemProfileRate)
	}
}

func TestTheRateOfTheMutexProfileIsPutBack(t *testing.T) {
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(7))
	for _, k := range []Kind{Mutex, CPU} {
		c, err := Start(t.TempDir(), k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		if got := runtime.SetMutexProfileFraction(-1); got != 7 {
			t.Errorf("after a %s profile the fraction is %d", k, got)
		}
	}
}

// Each of these would end the process inside pkg/profile.
func TestWhatCannotBeginIsRefused(t *testing.T) {
	dir := t.TempDir()
	c, err := Start(dir, Goroutine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(dir, CPU); !errors.Is(err, ErrActive) {
		t.Errorf("a second capture: %v", err)
	}
	if _, err := c.Stop(); err != nil {
		t.Fatal(err)
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for k := range kindCount {
		if _, err := Start(filepath.Join(file, "below"), k); err == nil {
			t.Errorf("%s: a file is used as a folder", k)
		}
	}
	if _, err := Start(dir, kindCount); err == nil {
		t.Error("there is one kind too many")
	}

	if err := trace.Start(io.Discard); err != nil {
		t.Fatal(err)
	}
	_, err = Start(dir, Trace)
	trace.Stop()
	if err == nil {
		t.Error("a second trace begins")
	}
}

// pkg/profile does not say when the runtime refuses a profile.
func TestAProfileThatDidNotBeginLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skipf("the test binary itself is profiled: %v", err)
	}
	c, err := Start(dir, CPU)
	if err != nil {
		t.Fatal(err)
	}
	// Stopping the capture stops the other profile: there is one profiler.
	_, err = c.Stop()
	pprof.StopCPUProfile()
	if !errors.Is(err, ErrNotProfile) {
		t.Errorf("stopped with %v", err)
	}
	if left := names(t, dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
	if c, err = Start(dir, CPU); err != nil { // and the next one may begin
		t.Fatal(err)
	}
	if _, err := c.Stop(); err != nil {
		t.Fatal(err)
	}
}

// A capture whose folder is taken away says so and leaves nothing.
func TestACaptureThatCannotBeKept(t *testing.T) {
	for k := range kindCount {
		dir := filepath.Join(t.TempDir(), "d")
		c, err := Start(dir, k)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Stop(); err == nil {
			t.Errorf("a %s profile is kept nowhere", k)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there again: %v", dir, err)
		}
	}
}

func TestKindsAreRead(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		kinds, err := ParseKinds(text)
		var got []string
		for _, k := range kinds {
			got = append(got, k.String())
		}
		if s := strings.Join(got, " "); err != nil && want != "error" || err == nil && s != want {
			t.Errorf("%q: %s, %v", text, s, err)
		}
	}
	f("", "")
	f("cpu", "cpu")
	f("heap, cpu,heap", "heap cpu")
	f("trace,all", "trace cpu heap allocs mutex block goroutine")
	f("cpus", "error")
	f("cpu,,heap", "error")
}

func TestHostileFiles(t *testing.T) {
	f := func(name string, data []byte, want error) {
		t.Helper()
		if _, err := Parse(data); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	f("nothing", nil, ErrNotProfile)
	f("text", []byte("hello, this is no profile"), ErrNotProfile)
	f("half a gzip header", []byte{0x1f, 0x8b, 8}, ErrNotProfile)
	f("no sample type", []byte{0x32, 0}, ErrNotProfile)
	f("many samples", make([]byte, MaxRaw+1), ErrTooLarge)
	// Two bytes each, and a hundred once decoded.
	samples := make([]byte, 2*(MaxMessages+1))
	labels := make([]byte, 0, len(samples)+8)
	for i := 0; i < len(samples); i += 2 {
		samples[i] = 2<<3 | 2
	}
	f("empty samples", samples, ErrTooLarge)
	for i := 0; i < len(samples); i += 2 {
		samples[i] = 3<<3 | 2
	}
	labels = append(labels, 2<<3|2)
	for n := len(samples); ; n >>= 7 {
		if n < 0x80 {
			labels = append(labels, byte(n))
			break
		}
		labels = append(labels, byte(n)|0x80)
	}
	f("a sample of empty labels", append(labels, samples...), ErrTooLarge)

	whole, err := os.ReadFile(write(t, synthetic(1, 20, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if _, err := Parse(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes are a profile", n, len(whole))
		}
	}
	bomb := filepath.Join(t.TempDir(), "bomb")
	if err := os.WriteFile(bomb, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(bomb, MaxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(bomb); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file above the limit: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder is a profile")
	}
}

// Whatever is read can be counted and compared.
func FuzzParse(f *testing.F) {
	for seed := range uint64(3) {
		data, err := os.ReadFile(write(f, synthetic(seed, 6, 2)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		p, err := Parse(data)
		if err != nil {
			f.Fatal(err)
		}
		plain, err := os.CreateTemp(f.TempDir(), "")
		if err != nil {
			f.Fatal(err)
		}
		if err := errors.Join(p.WriteUncompressed(plain), plain.Close()); err != nil {
			f.Fatal(err)
		}
		if data, err = os.ReadFile(plain.Name()); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		for _, by := range []By{Function, Line, Stage} {
			top, err := NewTop(p, Options{By: by})
			if err != nil {
				continue
			}
			for _, r := range top.Rows {
				if r.Flat == 0 && r.Cum == 0 {
					t.Errorf("an empty row %q", r.Name)
				}
			}
		}
		again, err := Parse(data)
		if err != nil {
			t.Fatalf("read once, and then: %v", err)
		}
		s, err := NewSide([]*profile.Profile{p, again}, nil, 0, 0)
		if err != nil {
			return
		}
		if d, err := NewDiff(s, s, DiffOptions{}); err == nil && d.Total.Delta != 0 {
			t.Errorf("a profile differs from itself by %v", d.Total.Delta)
		}
	})
}
