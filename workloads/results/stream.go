package results

import "encoding/binary"

// A result's bytes are words of eight, low byte first: the numbers that the
// SplitMix64 generator makes from a start that follows from the seed and the
// task (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
// 2014). The generator's state goes up by gamma with every word, so a word
// can be had at its place without those before it: the task takes them one
// after another, the verifier by their place.
const gamma = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// startOf returns the state before the first word of a task's result.
func startOf(seed uint64, task int) uint64 { return mix(mix(seed) + uint64(task)) }

// stream makes the words of one result in order.
type stream uint64

func newStream(seed uint64, task int) *stream {
	s := stream(startOf(seed, task))
	return &s
}

// fill fills b with the next words. All calls but the last fill whole words.
func (s *stream) fill(b []byte) {
	for len(b) >= 8 {
		*s += gamma
		binary.LittleEndian.PutUint64(b, mix(uint64(*s)))
		b = b[8:]
	}
	if len(b) > 0 {
		*s += gamma
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], mix(uint64(*s)))
		copy(b, last[:])
	}
}

// wordAt returns word i of a result that began at start.
func wordAt(start uint64, i int64) uint64 { return mix(start + gamma*uint64(i+1)) }
