package engine

import "sync"

// functions are the driver's own functions that running jobs call: the part
// of an action that is not data. They live as long as their job.
type functions struct {
	mu   sync.Mutex
	next int64
	byID map[int64]any
}

func (f *functions) add(fn any) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = map[int64]any{}
	}
	f.next++
	f.byID[f.next] = fn
	return f.next
}

func (f *functions) remove(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byID, n)
}

func (f *functions) get(n int64) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byID[n]
}
