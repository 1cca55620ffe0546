package spill

import (
	"errors"
	"fmt"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// A table of a whole side gives the matches of a model in each of its forms,
// also where its frames lie at odd addresses; what it was handed over to holds
// it, and no pin is left.
func TestJoinTableForms(t *testing.T) {
	type row = pair[int64, int64]
	spread := func(rows []row, by, add int64) []row {
		for i := range rows {
			rows[i].Key = rows[i].Key*by + add
		}
		return rows
	}
	distinct := func(n int) []row {
		rows := make([]row, n)
		for i := range rows {
			rows[i] = row{Key: int64(i * 7919 % n), Value: int64(i)} // n is no multiple of 7919
		}
		return rows
	}
	for name, c := range map[string]struct {
		held    []row
		by, add int64
		form    string
		odd     bool
		untold  bool
	}{
		"direct":             {held: distinct(5000), by: 1, add: -2500, form: "direct"},
		"direct with gaps":   {held: distinct(5000), by: 3, add: -5, form: "direct"},
		"direct, odd":        {held: distinct(5000), by: 1, form: "direct", odd: true},
		"too far apart":      {held: distinct(5000), by: 5, form: "unique"},
		"unique with a zero": {held: distinct(5000), by: 1 << 40, form: "unique"},
		"unique without":     {held: distinct(5000), by: 1 << 40, add: 1, form: "unique"},
		"nobody told":        {held: distinct(5000), by: 1, form: "unique", untold: true},
		"dense repeats":      {held: numberPairs(5000, 4000, 1), by: 1, form: "grouped"},
		"sparse repeats":     {held: numberPairs(5000, 40, 1), by: 1 << 40, form: "grouped"},
		"one row":            {held: distinct(1), by: 1, form: "direct"},
		"none":               {form: "unique"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 64*units.MiB)
			holder := b.manager.Holder("tables", nil)
			held := spread(c.held, c.by, c.add)
			others := spread(numberPairs(9000, 6000, 2), max(c.by, 1), c.add)
			key := mustKey[int64](t)
			span := NewKeySpan(key)
			Look(span, held)
			if c.untold {
				span.KeySpan = task.KeySpan{}
			}
			builder := NewTableBuilder[int64, int64](b.env, "table", key, span.KeySpan)
			defer builder.Close()
			pin := &countingPin{}
			for in := held; len(in) > 0; {
				k := min(len(in), 700)
				data := codec.RawBytes(in[:k])
				if c.odd {
					data = append(make([]byte, 1, len(data)+1), data...)[1:]
				}
				if err := builder.AddFrame(data, k, pin); err != nil {
					t.Fatal(err)
				}
				in = in[k:]
			}
			table, err := builder.Table()
			if table == nil || err != nil {
				t.Fatal("no table: ", err)
			}
			builder.Close()
			if pin.held != 0 {
				t.Errorf("%d pins were not let go", pin.held)
			}
			form := "unique"
			if table.present != nil {
				form = "direct"
			} else if table.groups != nil {
				form = "grouped"
			}
			if form != c.form {
				t.Errorf("the form is %s, want %s", form, c.form)
			}
			pages := table.HandOver(holder)
			got := map[int64]matches{}
			err = Match(NewMatcher(table), others, func(batch []row, held HeldRows[int64], list []Found) error {
				for _, f := range list {
					l := batch[f.At]
					s := got[l.Key]
					got[l.Key] = matches{s.n + 1, s.left + l.Value, s.right + *held.At(f.Row)}
				}
				return nil
			})
			if err := errors.Join(err, same(got, modelJoin(others, held))); err != nil {
				t.Error(err)
			}
			for _, p := range pages {
				holder.Free(p)
			}
		})
	}
}

// What the map side told of the keys may be wrong, and what a frame says of
// its rows: both are damage, not a panic.
func TestJoinTableOfDamagedData(t *testing.T) {
	b := newBench(t, 64*units.MiB)
	rows := numberPairs(100, 100, 1)
	builder := NewTableBuilder[int64, int64](b.env, "table", mustKey[int64](t), task.KeySpan{Rows: 100, Least: 0, Most: 5})
	defer builder.Close()
	if err := builder.AddFrame(codec.RawBytes(rows), 100, &countingPin{}); err != nil {
		t.Fatal(err)
	}
	if table, err := builder.Table(); table != nil || !errors.Is(err, ErrCorrupt) {
		t.Errorf("a table of keys that lie outside of what was told: %v", err)
	}
	other := NewTableBuilder[int64, int64](b.env, "table", mustKey[int64](t), task.KeySpan{})
	defer other.Close()
	if err := other.AddFrame(codec.RawBytes(rows), 99, &countingPin{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a frame of 100 rows said to be 99: %v", err)
	}
	small := newBench(t, units.MiB)
	tight := NewTableBuilder[int64, int64](small.env, "table", mustKey[int64](t), task.KeySpan{})
	defer tight.Close()
	many := numberPairs(60_000, 1<<40, 1)
	if err := tight.AddFrame(codec.RawBytes(many), len(many), &countingPin{}); err != nil {
		t.Fatal(err)
	}
	if table, err := tight.Table(); table != nil || err != nil {
		t.Errorf("a table without memory for it: %v", err)
	}
	for _, k := range []task.KeySpan{{}, {Rows: 1 << 40, Most: 1 << 40}, {Rows: 10, Least: -1 << 63, Most: 1<<63 - 1}} {
		if Dense[int64](k) {
			t.Error(fmt.Sprint(k, " is dense"))
		}
	}
}
