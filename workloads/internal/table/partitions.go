package table

import "github.com/execbench/execbench/workloads"

// partitionBytes is the input of a shuffle for each of its partitions when
// the user names no number: the hash table of one then stays near the
// processor's second-level cache, where a look-up costs a tenth of one in
// memory, and a task is still a thousand times longer than its scheduling.
const partitionBytes = 2 << 20

// partitionsMax keeps the pieces that a map task writes from getting small.
const partitionsMax = 1024

// Partitions returns how many partitions to shuffle an input into: two for
// each core at least, so that an uneven one does not stand alone at the end.
func Partitions(v workloads.Values, cores int, paths []string) (int, error) {
	if n := int(v.Int("partitions")); n > 0 {
		return n, nil
	}
	files, err := workloads.InputFiles(paths)
	if err != nil {
		return 0, err
	}
	return max(2*cores, int(min(workloads.TotalBytes(files)/partitionBytes, partitionsMax))), nil
}
