package table

import "github.com/execbench/execbench/workloads"

// partitionsMax keeps the pieces that a map task writes from getting small.
const partitionsMax = 1024

// Partitions returns how many partitions to shuffle an input into: as many as
// the user says, else one for every bytes of it; two for each core at least,
// so that an uneven one does not stand alone at the end.
func Partitions(v workloads.Values, cores int, paths []string, bytes int64) (int, error) {
	if n := int(v.Int("partitions")); n > 0 {
		return n, nil
	}
	files, err := workloads.InputFiles(paths)
	if err != nil {
		return 0, err
	}
	return max(2*cores, int(min(workloads.TotalBytes(files)/bytes, partitionsMax))), nil
}
