package storage

import "github.com/execbench/execbench/engine/block"

// Contains reports whether a block is there to be read, now. It does not
// count as an access and waits for nobody.
func (s *Store) Contains(b block.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.blocks[b]
	return e != nil && e.published
}
