// Package block owns the names of blocks and the levels at which they are
// kept. Names are Spark's, so that its tools understand ours.
package block

import (
	"strconv"

	"github.com/execbench/execbench/engine/id"
)

// ID is a block's name, unique in an executor's store.
type ID string

// Node names a cached partition of a dataset: "rdd_4_2".
func Node(n id.Node, part int) ID {
	return ID("rdd_" + strconv.Itoa(int(n)) + "_" + strconv.Itoa(part))
}

// Shuffle names what map attempt m wrote for reducer r: "shuffle_0_7_3".
func Shuffle(s id.Shuffle, m id.Task, r int) ID {
	return ID("shuffle_" + strconv.Itoa(int(s)) + "_" + strconv.FormatInt(int64(m), 10) + "_" + strconv.Itoa(r))
}

// ShuffleData names a map attempt's data file: "shuffle_0_7_0.data".
func ShuffleData(s id.Shuffle, m id.Task) ID { return Shuffle(s, m, 0) + ".data" }

// ShuffleIndex names a map attempt's index file: "shuffle_0_7_0.index".
func ShuffleIndex(s id.Shuffle, m id.Task) ID { return Shuffle(s, m, 0) + ".index" }

// Broadcast names a broadcast value: "broadcast_5".
func Broadcast(b id.Broadcast) ID { return ID("broadcast_" + strconv.FormatInt(int64(b), 10)) }

// TaskResult names a stored result: "taskresult_12".
func TaskResult(t id.Task) ID { return ID("taskresult_" + strconv.FormatInt(int64(t), 10)) }
