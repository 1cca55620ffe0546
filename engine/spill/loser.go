package spill

// losers is a tournament of n sources over the words at their heads. Inner
// nodes hold the loser of the game played there; node 0 holds the winner.
// Replacing the winner's head replays one path: log₂ n comparisons, with no
// choice between two children (Knuth, TAOCP 3, §5.4.1).
//
//	     node 0: winner
//	         │
//	       node 1
//	      ╱      ╲
//	  node 2    node 3        n = 4
//	  ╱    ╲    ╱    ╲
//	s0     s1  s2     s3
type losers struct {
	node []int32
	head []uint64                       // of each source; the largest word once it is exhausted
	tie  func(a, b int32) (aFirst bool) // decides between equal heads, exhausted sources last, else by number
}

// newLosers plays all games once.
func newLosers(head []uint64, tie func(a, b int32) bool) losers {
	n := len(head)
	l := losers{node: make([]int32, n), head: head, tie: tie}
	if n == 0 {
		return l
	}
	winners := make([]int32, 2*n)
	for i := range n {
		winners[n+i] = int32(i)
	}
	for i := n - 1; i >= 1; i-- {
		a, b := winners[2*i], winners[2*i+1]
		if l.before(b, a) {
			a, b = b, a
		}
		winners[i], l.node[i] = a, b
	}
	l.node[0] = winners[1] // of one source: that source
	return l
}

func (l *losers) before(a, b int32) bool {
	x, y := l.head[a], l.head[b]
	return x < y || x == y && l.tie(a, b)
}

// winner returns the source whose head stands first.
func (l *losers) winner() int32 { return l.node[0] }

// replay tells that the winner's head has changed.
func (l *losers) replay() {
	w := l.node[0]
	for i := (len(l.node) + int(w)) / 2; i >= 1; i /= 2 {
		if o := l.node[i]; l.before(o, w) {
			w, l.node[i] = o, w
		}
	}
	l.node[0] = w
}
