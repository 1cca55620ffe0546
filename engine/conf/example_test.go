package conf_test

import (
	"fmt"
	"strings"

	"github.com/execbench/execbench/engine/conf"
)

func ExampleParse() {
	values, err := conf.ReadProperties(strings.NewReader(`
# what a Spark user has at hand
spark.memory.fraction    0.6
spark.executor.memory    4g
spark.locality.wait      500ms
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, warnings, err := conf.Parse(values)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.MemoryFraction, set.LocalityWait.Node)
	for _, w := range warnings {
		fmt.Println(w)
	}
	_, _, err = conf.Parse(map[string]string{"memory.fracton": "0.6"})
	fmt.Println(err)
	// Output:
	// 0.6 500ms
	// spark.executor.memory has no effect: driver and workers are one process: driver.memory or --memory is its budget
	// cannot use memory.fracton=0.6: there is no such key; did you mean memory.fraction?
}

func ExampleKeys() {
	for _, k := range conf.Keys() {
		if strings.HasPrefix(k.Name, "driver.max") || k.Name == "scheduler.mode" {
			fmt.Printf("%s (default %s)\n  %s\n  %s\n", k.Name, k.Default, k.Doc, k.Accepts())
		}
	}
	// Output:
	// driver.maxResultSize (default 1g)
	//   Limit of one result, and of all results of a job together; 0: none. A job above it is aborted.
	//   a size, like 512MiB or 1g (a bare number counts bytes)
	// scheduler.mode (default FIFO)
	//   Order of jobs that compete for slots: first come first served, or fair pools.
	//   one of FIFO, FAIR
}
