package conf

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Pool is one fair-scheduling pool.
type Pool struct {
	Name     string
	Mode     SchedulingMode // order inside the pool
	Weight   int            // share relative to other pools
	MinShare int            // slots it gets before others share the rest
}

// ReadPools reads a fair-scheduler allocation file, Spark's XML:
//
//	<allocations>
//	  <pool name="production">
//	    <schedulingMode>FAIR</schedulingMode>
//	    <weight>2</weight>
//	    <minShare>1</minShare>
//	  </pool>
//	</allocations>
//
// A field that is missing takes its default (FIFO, weight 1, share 0); so
// does one that is blank or wrong, with a warning. Source: spark-semantics
// §2.2, conformance POOL-005.
func ReadPools(r io.Reader) ([]Pool, []Warning, error) {
	var doc struct {
		XMLName xml.Name `xml:"allocations"`
		Pools   []struct {
			Name     string  `xml:"name,attr"`
			Mode     *string `xml:"schedulingMode"`
			Weight   *string `xml:"weight"`
			MinShare *string `xml:"minShare"`
		} `xml:"pool"`
	}
	if err := xml.NewDecoder(r).Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("cannot read pools: %w", err)
	}
	var (
		pools    []Pool
		warnings []Warning
	)
	for _, p := range doc.Pools {
		fallBack := func(field, text, use string) {
			warnings = append(warnings, Warning{Key: p.Name,
				Text: fmt.Sprintf("pool %s: %s %q is not usable; %s holds", p.Name, field, text, use)})
		}
		number := func(field string, text *string, use int) int {
			if text == nil {
				return use
			}
			n, err := strconv.Atoi(strings.TrimSpace(*text))
			if err != nil || n < 0 {
				fallBack(field, *text, strconv.Itoa(use))
				return use
			}
			return n
		}
		pool := Pool{Name: strings.TrimSpace(p.Name), Mode: FIFO}
		if p.Mode != nil {
			switch mode := SchedulingMode(strings.ToUpper(strings.TrimSpace(*p.Mode))); mode {
			case FIFO, FAIR:
				pool.Mode = mode
			default:
				fallBack("schedulingMode", *p.Mode, string(FIFO))
			}
		}
		pool.Weight = number("weight", p.Weight, 1)
		pool.MinShare = number("minShare", p.MinShare, 0)
		if pool.Weight == 0 {
			fallBack("weight", "0", "1")
			pool.Weight = 1
		}
		pools = append(pools, pool)
	}
	return pools, warnings, nil
}
