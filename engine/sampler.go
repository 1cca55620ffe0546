package engine

import (
	"os"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"github.com/execbench/execbench/engine/event"
)

// sampleEvery is the distance between two memory samples. A sample costs
// about 60 µs; peaks between samples are caught by the kernel's own
// high-water mark, which every sample carries.
const sampleEvery = 200 * time.Millisecond

// sampler is the session's housekeeping goroutine: it puts the process's
// memory and the workers' times into the event stream.
type sampler struct {
	stop, done chan struct{}
	sample     func()
	mu         sync.Mutex // one sample at a time
}

func startSampler(sample func()) *sampler {
	s := &sampler{stop: make(chan struct{}), done: make(chan struct{}), sample: sample}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.now()
			}
		}
	}()
	return s
}

// now takes a sample at once.
func (s *sampler) now() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sample()
}

// close stops and joins the goroutine.
func (s *sampler) close() {
	close(s.stop)
	<-s.done
}

// processMemory reads what the kernel and the runtime say of this process.
type processMemory struct {
	proc    *process.Process
	samples []metrics.Sample
}

func newProcessMemory() *processMemory {
	p, _ := process.NewProcess(int32(os.Getpid())) // nil where unsupported: RSS reads as 0
	return &processMemory{proc: p, samples: []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}}
}

// read fills the process's part of m: RSS, its peak, processor time, the
// runtime's bytes and the collector's work so far.
func (p *processMemory) read(m *event.MemorySample) {
	if p.proc != nil {
		if info, err := p.proc.MemoryInfo(); err == nil {
			m.RSS, m.PeakRSS = int64(info.RSS), int64(info.HWM)
		}
	}
	m.CPU = processCPU()
	metrics.Read(p.samples)
	m.Runtime = int64(p.samples[0].Value.Uint64() - p.samples[1].Value.Uint64())
	m.GCCount = int64(p.samples[2].Value.Uint64())
	m.GCTime = int64(p.samples[3].Value.Float64() * 1e9)
}
