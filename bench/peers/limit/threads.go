package main

import (
	"errors"
	"sync"
)

// both runs f once for each thread and waits.
func both(f func(t int)) {
	var done sync.WaitGroup
	for t := range threads {
		done.Go(func() { f(t) })
	}
	done.Wait()
}

// bothTry is both for work that can fail.
func bothTry(f func(t int) error) error {
	var errs [threads]error
	both(func(t int) { errs[t] = f(t) })
	return errors.Join(errs[:]...)
}

// share returns thread t's part of n things.
func share(n, t int) (from, to int) { return n * t / threads, n * (t + 1) / threads }

// random is a generator of 64-bit numbers with 64 bits of state (source:
// Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// scatter is the middle of every radix pass over two threads: it turns how
// many items each thread has for each place into where the first of them
// goes, so that the threads write side by side without asking each other,
// and returns where places begin.
func scatter(counts [threads][]uint32) (starts []uint32) {
	places := len(counts[0])
	starts = make([]uint32, places+1)
	at := uint32(0)
	for p := range places {
		starts[p] = at
		for t := range threads {
			n := counts[t][p]
			counts[t][p] = at
			at += n
		}
	}
	starts[places] = at
	return starts
}
