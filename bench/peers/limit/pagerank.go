package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

// link is a link of a graph: two numbers of nodes.
type link struct{ from, to uint32 }

// readLinks reads a file of lines "source,destination" after a header.
func readLinks(path string) ([]link, error) {
	var parts [threads][]link
	err := lines(path, func(t int, text []byte) {
		for at := 0; at < len(text); at++ {
			var a, b uint64
			a, at = number(text, at)
			b, at = number(text, at+1)
			parts[t] = append(parts[t], link{uint32(a), uint32(b)})
		}
	})
	return append(parts[0], parts[1]...), err
}

// packLinks writes links as pairs of 32-bit numbers.
func packLinks(in, out string) error {
	links, err := readLinks(in)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", in, err)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = binary.Write(w, binary.NativeEndian, links)
	return errors.Join(err, w.Flush(), f.Close())
}

// pageRank ranks the nodes of a graph in compressed rows by destination: in
// each round every node adds up what those that link to it give.
func pageRank(args []string) error {
	n, err := numbers(args[1:3]...)
	if err != nil {
		return err
	}
	nodes, rounds := n[0], n[1]
	var links []link
	if strings.HasSuffix(args[0], ".csv") {
		links, err = readLinks(args[0])
	} else {
		var data []byte
		data, err = readWhole(args[0])
		links = viewOf[link](data)
	}
	if err != nil {
		return err
	}
	var out, in [threads][]uint32
	both(func(t int) {
		from, to := share(len(links), t)
		out[t], in[t] = slab[uint32](nodes), slab[uint32](nodes)
		for _, l := range links[from:to] {
			out[t][l.from]++
			in[t][l.to]++
		}
	})
	starts := scatter(in)
	sources := slab[uint32](len(links))
	both(func(t int) {
		from, to := share(len(links), t)
		next := in[t]
		for _, l := range links[from:to] {
			sources[next[l.to]] = l.from
			next[l.to]++
		}
	})
	middle := 0
	for middle < nodes && int(starts[middle]) < len(links)/2 {
		middle++
	}
	rank, given, part := slab[float64](nodes), slab[float64](nodes), slab[float64](nodes)
	both(func(t int) {
		from, to := share(nodes, t)
		for v := from; v < to; v++ {
			rank[v] = 1 / float64(nodes)
			if n := out[0][v] + out[1][v]; n > 0 {
				part[v] = 1 / float64(n)
			}
		}
	})
	for range rounds {
		both(func(t int) {
			from, to := share(nodes, t)
			for v := from; v < to; v++ {
				given[v] = rank[v] * part[v]
			}
		})
		both(func(t int) {
			from, to := 0, middle
			if t == 1 {
				from, to = middle, nodes
			}
			for v := from; v < to; v++ {
				sum := 0.0
				for _, s := range sources[starts[v]:starts[v+1]] {
					sum += given[s]
				}
				rank[v] = 0.15/float64(nodes) + 0.85*sum
			}
		})
	}
	sum := 0.0
	for _, r := range rank {
		sum += r
	}
	answer(sum)
	return nil
}
