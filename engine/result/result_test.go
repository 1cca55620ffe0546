package result_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

func TestRouteAtTheBoundaries(t *testing.T) {
	defaults := result.Limits{MaxResult: result.DefaultMaxResult}
	for _, c := range []struct {
		name   string
		limits result.Limits
		size   int64
		want   task.Route
	}{
		{"empty", defaults, 0, task.RouteDirect},
		{"at 1 MiB", defaults, 1 << 20, task.RouteDirect},
		{"above 1 MiB", defaults, 1<<20 + 1, task.RouteIndirect},
		{"at 1 GiB", defaults, 1 << 30, task.RouteIndirect},
		{"above 1 GiB", defaults, 1<<30 + 1, task.RouteDropped},
		{"no limit", result.Limits{}, math.MaxInt64, task.RouteIndirect},
		{"message limit below direct limit", result.Limits{MaxDirect: 100, Message: 10}, 10, task.RouteDirect},
		{"above the message limit", result.Limits{MaxDirect: 100, Message: 10}, 11, task.RouteIndirect},
		{"direct limit raised above the message's", result.Limits{MaxDirect: 1 << 40}, 128<<20 + 1, task.RouteIndirect},
		{"at the raised limit", result.Limits{MaxDirect: 1 << 40}, 128 << 20, task.RouteDirect},
		{"small result above a smaller maximum", result.Limits{MaxResult: 5}, 6, task.RouteDropped},
		{"at that maximum", result.Limits{MaxResult: 5}, 5, task.RouteDirect},
		{"maximum below direct limit comes first", result.Limits{MaxResult: 50, MaxDirect: 10}, 51, task.RouteDropped},
		{"between", result.Limits{MaxResult: 50, MaxDirect: 10}, 50, task.RouteIndirect},
	} {
		if got := c.limits.Route(c.size); got != c.want {
			t.Errorf("%s: %d bytes go %v, want %v", c.name, c.size, got, c.want)
		}
	}
}

func TestTotalOfTwoResultsOfSixTenths(t *testing.T) {
	total := result.NewTotal(1 * units.MiB)
	if err := total.Add(629145); err != nil {
		t.Fatalf("one result of 0.6 of the limit: %v", err)
	}
	err := total.Add(629146)
	var large *result.TooLargeError
	if !errors.As(err, &large) || large.Tasks != 2 || large.Total != 1258291 || large.Limit != 1*units.MiB {
		t.Fatalf("two results of 0.6 of the limit: %#v", err)
	}
	for _, want := range []string{"1258291 bytes", "1048576 bytes", "spark.driver.maxResultSize", "2 tasks"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if total.Add(0) == nil {
		t.Error("a later empty result passes although the total is above the limit")
	}
}

func TestTotalIsStrict(t *testing.T) {
	total := result.NewTotal(10)
	if err := total.Add(10); err != nil {
		t.Errorf("a total equal to the limit: %v", err)
	}
	if total.Add(1) == nil {
		t.Error("a total one above the limit passes")
	}
	unlimited := result.NewTotal(0)
	for range 4 {
		if err := unlimited.Add(1 << 60); err != nil {
			t.Fatal(err)
		}
	}
	if unlimited.Sum() != 4<<60 {
		t.Errorf("sum is %d", unlimited.Sum())
	}
}
