package engine_test

import (
	"fmt"
	"hash/maphash"
	"math"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Types of a user's own, one for every form that a key may have.
type (
	itemKey struct { // a word, with padding
		Shop uint16
		Item uint32
	}
	oddKey   [5]byte  // a word of fewer bytes
	visitKey struct { // two words, with padding
		Store int64
		Day   int32
	}
	pointKey struct{ X, Y float64 } // two words, with two zeros
	spanKey  struct{ From, To uint64 }
	boxKey   struct{ A, B, C int64 } // a text: its memory
	placeKey struct {                // a text: a number and a string
		Country string
		Shop    uint16
	}
	nestedKey struct {
		Place placeKey
		Tags  [2]string
		On    bool
	}

	purchase struct {
		Price float64
		Units int32
	}
	account struct {
		Purchases, Units int64
		Paid             float64
	}
	record struct { // a state that holds a text
		Name  string
		Price float64
		Count int64
	}
)

func (a account) add(p purchase) account {
	return account{a.Purchases + 1, a.Units + int64(p.Units), a.Paid + p.Price}
}

func (a account) merge(b account) account {
	return account{a.Purchases + b.Purchases, a.Units + b.Units, a.Paid + b.Paid}
}

// dearer keeps the name of the dearer and counts both.
func (a record) dearer(b record) record {
	n := a.Count + b.Count
	if b.Price > a.Price {
		a = b
	}
	a.Count = n
	return a
}

// What a user's functions find over keys and values of a user's types is what
// the kernels find over whole numbers, whatever the cores, the partitions and
// the memory, and whether or not it spills.
func TestUsersTypesAnswerAsNumbersDo(t *testing.T) {
	answersAs(t, func(i int64) itemKey { return itemKey{uint16(i % 7), uint32(i)} }, reduced[itemKey])
	answersAs(t, func(i int64) oddKey { return oddKey{byte(i), byte(i >> 8), byte(i >> 16), 0, 9} }, nil)
	answersAs(t, func(i int64) visitKey { return visitKey{i << 20, int32(i % 5)} }, reduced[visitKey])
	answersAs(t, func(i int64) pointKey { return pointKey{float64(i / 300), float64(i % 300)} }, nil)
	answersAs(t, func(i int64) spanKey { return spanKey{uint64(i % 1000), uint64(i / 1000)} }, nil)
	answersAs(t, func(i int64) boxKey { return boxKey{i % 3, 0, i} }, nil)
	answersAs(t, func(i int64) placeKey { return placeKey{fmt.Sprint("c", i/50), uint16(i % 50)} }, reduced[placeKey])
	answersAs(t, func(i int64) nestedKey {
		return nestedKey{placeKey{fmt.Sprint("country ", i), 1}, [2]string{"", fmt.Sprint(i % 9)}, i%2 == 0}
	}, nil)
}

var hashed = maphash.MakeSeed()

// checkSpills checks whether any attempt of a session spilled.
func checkSpills(t *testing.T, r *rig, want bool) {
	t.Helper()
	spills := int64(0)
	for _, e := range of[*event.TaskEnd](r.rec) {
		spills += e.Metrics[task.SpillCount]
	}
	if (spills > 0) != want {
		t.Errorf("%d spills, where any are expected: %v", spills, want)
	}
}

// groupsOf sums the hashes of groups up, of which none may be there twice.
func groupsOf[K, S comparable](t *testing.T, d *engine.Dataset[engine.Pair[K, S]]) (sum [2]uint64) {
	t.Helper()
	parts, err := engine.AggregatePartitions(d, func() [2]uint64 { return [2]uint64{} }, func(sum [2]uint64, p engine.Pair[K, S]) [2]uint64 {
		return [2]uint64{sum[0] + 1, sum[1] + maphash.Comparable(hashed, p)}
	}).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		sum = [2]uint64{sum[0] + p[0], sum[1] + p[1]}
	}
	return sum
}

// answersAs compares AggregateByKey over keys of a type with the kernel over
// numbers, and whatever more does, which for keys of each form one type is
// enough for: every further one has the compiler make all kernels again.
func answersAs[K comparable](t *testing.T, key func(i int64) K, more func(*testing.T, usersCase[K])) {
	const parts = 3
	var zero K
	t.Run(fmt.Sprintf("%T", zero), func(t *testing.T) {
		for _, c := range []struct {
			engine.Config
			partitions int
			keys       int64
		}{
			{engine.Config{Cores: 2}, 5, 9_000},
			{engine.Config{Cores: 1}, 1, 9_000},
			{engine.Config{Cores: 1, Memory: 48 * units.MiB}, 1, 180_000}, // spills
		} {
			if raceEnabled && c.Memory > 0 {
				continue
			}
			keys, rows := c.keys, 2*c.keys
			names := make([]K, keys)
			for i := range names {
				names[i] = key(int64(i))
			}
			minus, flips := any(&names[0]).(*pointKey)
			index := func(row int64) int64 { return row * 7919 % keys }
			value := func(row int64) purchase { return purchase{float64(row * 31 % rows), int32(row % 100)} }
			r := start(t, c.Config)
			option := engine.Partitions(c.partitions)
			numbers := engine.Map(engine.Range(r.Session, rows, parts), func(row int64) engine.Pair[int64, account] {
				return engine.Pair[int64, account]{Key: index(row), Value: account{}.add(value(row))}
			})
			kernel := engine.Map(engine.ReduceByKey(numbers, account.merge, option), func(p engine.Pair[int64, account]) engine.Pair[K, account] {
				return engine.Pair[K, account]{Key: names[p.Key], Value: p.Value}
			})
			want := groupsOf(t, kernel)
			if want[0] != uint64(keys) {
				t.Errorf("%d keys of %d", want[0], keys)
			}
			named := engine.Map(engine.Range(r.Session, rows, parts), func(row int64) engine.Pair[K, purchase] {
				k := names[index(row)]
				if flips && row%2 == 0 && k == names[0] { // the same key in other bits
					x := *minus
					x.X, x.Y = math.Copysign(0, -1), math.Copysign(0, -1)
					k = any(x).(K)
				}
				return engine.Pair[K, purchase]{Key: k, Value: value(row)}
			})
			if got := groupsOf(t, engine.AggregateByKey(named, func() account { return account{} }, account.add, account.merge, option)); got != want {
				t.Errorf("cores %d, memory %v: AggregateByKey finds %v, the kernel %v", c.Cores, c.Memory, got, want)
			}
			if more != nil {
				more(t, usersCase[K]{fmt.Sprintf("cores %d, memory %v", c.Cores, c.Memory), named, names, index, value, rows, want, option})
			}
			checkSpills(t, r, c.Memory > 0)
			r.finish()
		}
	})
}

// usersCase is one case of answersAs.
type usersCase[K comparable] struct {
	name   string
	named  *engine.Dataset[engine.Pair[K, purchase]]
	names  []K
	index  func(row int64) int64 // of a row's key among names
	value  func(row int64) purchase
	rows   int64
	want   [2]uint64 // the accounts
	option engine.Option
}

// reduced compares ReduceByKey over states that are plain and that hold a text.
func reduced[K comparable](t *testing.T, c usersCase[K]) {
	t.Helper()
	accounts := engine.MapValues(c.named, func(p purchase) account { return account{}.add(p) })
	if got := groupsOf(t, engine.ReduceByKey(accounts, account.merge, c.option)); got != c.want {
		t.Errorf("%s: ReduceByKey finds %v, the kernel %v", c.name, got, c.want)
	}
	records := engine.MapValues(c.named, func(p purchase) record { return record{fmt.Sprint(p.Price), p.Price, 1} })
	dearest := map[K]record{}
	for row := range c.rows {
		p := c.value(row)
		v, k := record{fmt.Sprint(p.Price), p.Price, 1}, c.names[c.index(row)]
		if old, ok := dearest[k]; ok {
			v = old.dearer(v)
		}
		dearest[k] = v
	}
	want := [2]uint64{}
	for k, v := range dearest {
		want = [2]uint64{want[0] + 1, want[1] + maphash.Comparable(hashed, engine.Pair[K, record]{Key: k, Value: v})}
	}
	if got := groupsOf(t, engine.ReduceByKey(records, record.dearer, c.option)); got != want {
		t.Errorf("%s: a state with a text is %v, want %v", c.name, got, want)
	}
}
