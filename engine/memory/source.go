package memory

// source is where pages come from: the system's mappings, or the Go heap.
type source interface {
	// slab returns bytes to cut small pages from.
	slab(n int) ([]byte, error)
	// large returns one large page.
	large(n int) ([]byte, error)
	// cool gives a small page's bytes back and keeps its addresses; false
	// means that the page is of no further use.
	cool(b []byte) bool
	// free gives a slab or a large page back.
	free(b []byte)
}

// heapSource takes pages from the Go heap, where the race detector sees
// them. A page that is given back is left to the collector.
type heapSource struct{}

func (heapSource) slab(n int) ([]byte, error)  { return make([]byte, n), nil }
func (heapSource) large(n int) ([]byte, error) { return make([]byte, n), nil }
func (heapSource) cool([]byte) bool            { return true }
func (heapSource) free([]byte)                 {}
