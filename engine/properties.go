package engine

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/execbench/execbench/engine/executor"
)

// Properties of the jobs submitted under a context: Spark's local
// properties. A context made from another inherits a snapshot; later changes
// above do not reach it, and siblings do not see each other.

type propertiesKey struct{}

// Names of properties that the scheduler reads.
const (
	PropertyJobGroup    = "spark.jobGroup.id"
	PropertyDescription = "spark.job.description"
	PropertyTags        = "spark.job.tags"
	PropertyPool        = "spark.scheduler.pool"
)

// WithProperty returns a context whose jobs carry the property. An empty
// value removes it.
func WithProperty(ctx context.Context, key, value string) context.Context {
	props := maps.Clone(properties(ctx))
	if props == nil {
		props = map[string]string{}
	}
	if value == "" {
		delete(props, key)
	} else {
		props[key] = value
	}
	return context.WithValue(ctx, propertiesKey{}, props)
}

// WithJobGroup returns a context whose jobs belong to group and carry a
// description for people.
func WithJobGroup(ctx context.Context, group, description string) context.Context {
	return WithProperty(WithProperty(ctx, PropertyJobGroup, group), PropertyDescription, description)
}

// WithTags returns a context whose jobs carry more tags, by which CancelTag
// finds them. A tag is not empty and has no comma; another panics.
func WithTags(ctx context.Context, tags ...string) context.Context {
	all := properties(ctx)[PropertyTags]
	for _, t := range tags {
		if t == "" || strings.Contains(t, ",") {
			panic(fmt.Sprintf("engine: WithTags with the tag %q: a tag is not empty and has no comma", t))
		}
		if all != "" {
			all += ","
		}
		all += t
	}
	return WithProperty(ctx, PropertyTags, all)
}

// WithPool returns a context whose jobs run in a scheduling pool.
func WithPool(ctx context.Context, pool string) context.Context {
	return WithProperty(ctx, PropertyPool, pool)
}

// WithLabel returns a context under whose jobs attempts carry one more pprof
// label, when Config.Labels says that they carry any.
func WithLabel(ctx context.Context, name, value string) context.Context {
	return WithProperty(ctx, executor.LabelProperty+name, value)
}

func properties(ctx context.Context) map[string]string {
	p, _ := ctx.Value(propertiesKey{}).(map[string]string)
	return p
}
