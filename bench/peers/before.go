package main

import "strings"

// before is the name of ours as another program, an earlier build, does it.
const before = "before"

// addBefore puts a side with an earlier program behind each of ours: the same
// work, the same flags, outputs of its own.
func addBefore(row *Row, program string) {
	var sides []*Side
	for _, s := range row.Sides {
		sides = append(sides, s)
		if s.Run != "" {
			sides = append(sides, s.asBefore(program))
		}
	}
	row.Sides = sides
}

func (s *Side) asBefore(program string) *Side {
	b := *s
	b.Program, b.Before = program, s
	if rest, ok := strings.CutPrefix(s.Name, ours); ok {
		b.Name = before + rest
	} else {
		b.Name += ", " + before
	}
	moved := func(path string) string {
		for _, out := range s.Outputs {
			if path == out {
				return path + "-" + before
			}
		}
		return path
	}
	b.Run, b.Answer = moved(s.Run), moved(s.Answer)
	b.Args, b.Outputs = nil, nil
	for _, a := range s.Args {
		b.Args = append(b.Args, moved(a))
	}
	for _, o := range s.Outputs {
		b.Outputs = append(b.Outputs, moved(o))
	}
	return &b
}
