// Package standard lists the workloads that come with execbench.
package standard

import (
	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/barrier"
	"github.com/execbench/execbench/workloads/groupby"
	"github.com/execbench/execbench/workloads/join"
	"github.com/execbench/execbench/workloads/kmeans"
	"github.com/execbench/execbench/workloads/pagerank"
	"github.com/execbench/execbench/workloads/results"
	"github.com/execbench/execbench/workloads/tasks"
	"github.com/execbench/execbench/workloads/terasort"
	"github.com/execbench/execbench/workloads/wordcount"
)

// All returns them, by name. They are not registered yet.
func All() []*workloads.Workload {
	return []*workloads.Workload{
		barrier.Workload,
		groupby.Workload,
		join.Workload,
		kmeans.Workload,
		pagerank.Workload,
		results.Workload,
		tasks.Workload,
		terasort.Workload,
		wordcount.Workload,
	}
}
