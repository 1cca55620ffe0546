package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// stageBinary is what a task binary says: which program to build, which of
// its operators to run and how, and what the driver learned at run time. It
// is data alone; the functions come from the program.
type stageBinary struct {
	program string         // empty: the operators exist in one process only
	chain   []building     // the program's Build, and the steps up to the operator
	node    id.Node        // the operator to run
	dep     int32          // map stage: which of its shuffles to write; result stage: -1
	action  action         // result stage
	learned []learnedBytes // for the operators that its tasks run
}

// building is what makes a process repeat one building of a program or of a
// step.
type building struct {
	params   []byte
	nodes    []id.Node    // by order of building
	shuffles []id.Shuffle // likewise
	lineage  uint64       // its fingerprint
}

// learnedBytes is what the driver learned for one operator: range bounds, how
// to join, or how keys are dealt out.
type learnedBytes struct {
	node id.Node
	data []byte
}

const binaryMagic = "xbt2"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append encodes the binary:
//
//	magic │ program │ buildings │ node │ dep │ action │ learned │ crc32c
//	building = params │ nodes │ shuffles │ lineage
//
// Strings and lists carry their length as uvarint; ids are varints.
func (b *stageBinary) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, binaryMagic...)
	dst = appendString(dst, b.program)
	dst = binary.AppendUvarint(dst, uint64(len(b.chain)))
	for i := range b.chain {
		dst = b.chain[i].append(dst)
	}
	dst = binary.AppendVarint(dst, int64(b.node))
	dst = binary.AppendVarint(dst, int64(b.dep))
	dst = b.action.append(dst)
	dst = binary.AppendUvarint(dst, uint64(len(b.learned)))
	for _, l := range b.learned {
		dst = binary.AppendVarint(dst, int64(l.node))
		dst = appendString(dst, string(l.data))
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func (b *building) append(dst []byte) []byte {
	dst = appendString(dst, string(b.params))
	dst = binary.AppendUvarint(dst, uint64(len(b.nodes)))
	prev := int64(0)
	for _, n := range b.nodes {
		dst = binary.AppendVarint(dst, int64(n)-prev)
		prev = int64(n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.shuffles)))
	prev = 0
	for _, n := range b.shuffles {
		dst = binary.AppendVarint(dst, int64(n)-prev)
		prev = int64(n)
	}
	return binary.AppendUvarint(dst, b.lineage)
}

func decodeBuilding(d *decoder) building {
	b := building{params: []byte(d.string())}
	prev := int64(0)
	for range d.count(1) {
		prev += d.varint()
		b.nodes = append(b.nodes, id.Node(prev))
	}
	prev = 0
	for range d.count(1) {
		prev += d.varint()
		b.shuffles = append(b.shuffles, id.Shuffle(prev))
	}
	b.lineage = d.uvarint()
	return b
}

var errBinary = fmt.Errorf("task binary: %w", task.ErrCorrupt)

// decodeStage reads a task binary. The result does not keep src.
func decodeStage(src []byte) (*stageBinary, error) {
	if len(src) < len(binaryMagic)+4 || string(src[:4]) != binaryMagic {
		return nil, fmt.Errorf("cannot decode a task binary of %d bytes: %w", len(src), errBinary)
	}
	body := src[:len(src)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(src[len(body):]) {
		return nil, fmt.Errorf("cannot decode a task binary of %d bytes: checksum differs: %w", len(src), errBinary)
	}
	d := decoder{b: body[4:]}
	b := &stageBinary{program: d.string()}
	for range d.count(4) {
		b.chain = append(b.chain, decodeBuilding(&d))
	}
	b.node = id.Node(d.varint())
	b.dep = int32(d.varint())
	b.action.decode(&d)
	for range d.count(2) {
		l := learnedBytes{node: id.Node(d.varint())}
		l.data = []byte(d.string())
		b.learned = append(b.learned, l)
	}
	if d.bad || len(d.b) != 0 {
		return nil, fmt.Errorf("cannot decode a task binary of %d bytes: %w", len(src), errBinary)
	}
	return b, nil
}

// binaryFor makes the task binary of a stage whose last node is node: a map
// stage that writes dep, or a result stage that runs act.
func (s *Session) binaryFor(node *plan.Node, dep *plan.ShuffleDep, act action) ([]byte, error) {
	b := stageBinary{node: node.ID, dep: -1, action: act}
	op := s.graph.mustOp(node.ID)
	if dep != nil {
		child, i := s.shuffleReader(dep.Shuffle)
		if child == nil {
			return nil, fmt.Errorf("cannot make the task binary for shuffle %d: no dataset reads it", dep.Shuffle)
		}
		op, b.node, b.dep = child, child.node.ID, int32(i)
	}
	if in := op.program; in != nil {
		b.program, b.chain = in.name, in.chain()
	}
	add := func(n id.Node) {
		if data, ok := s.learnt(n); ok {
			b.learned = append(b.learned, learnedBytes{n, data})
		}
	}
	if dep != nil {
		add(b.node) // which knows how the map side is written
	}
	plan.Fused(node, func(n *plan.Node) { add(n.ID) })
	return b.append(nil), nil
}

// learnt returns what the driver learned for one of the stage's operators, or
// nil.
func (b *stageBinary) learnt(n id.Node) []byte {
	for _, l := range b.learned {
		if l.node == n {
			return l.data
		}
	}
	return nil
}

// stage is a decoded task binary made runnable in this process.
type stage struct {
	bin *stageBinary
	op  *operator

	binary  id.Broadcast // that it was decoded from
	encoded string       // its bytes
}

// resolve finds the operator that a task binary names, building its program,
// or what is missing of it, where this process does not have it yet.
func (s *Session) resolve(b *stageBinary) (*stage, error) {
	op, ok := s.graph.op(b.node)
	if !ok {
		if b.program == "" {
			return nil, fmt.Errorf("cannot run node %d in this process: %w", b.node, ErrNotPortable)
		}
		if err := s.rebuild(b.program, b.chain); err != nil {
			return nil, err
		}
		if op, ok = s.graph.op(b.node); !ok {
			return nil, fmt.Errorf("cannot find node %d in program %q as rebuilt here", b.node, b.program)
		}
	}
	if b.dep >= 0 && int(b.dep) >= len(op.writers) {
		return nil, fmt.Errorf("cannot write shuffle %d of node %d: it reads %d", b.dep, b.node, len(op.writers))
	}
	return &stage{bin: b, op: op}, nil
}
