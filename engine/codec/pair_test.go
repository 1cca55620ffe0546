package codec

import "testing"

func TestKeyLeads(t *testing.T) {
	type own int64
	type looksLikeAPair struct {
		Key   int64
		Value int64
	}
	for name, c := range map[string]struct{ got, want bool }{
		"int64":           {KeyLeads[Pair[int64, float64]](), true},
		"uint64":          {KeyLeads[Pair[uint64, [3]int8]](), true},
		"own type":        {KeyLeads[Pair[own, own]](), true},
		"nothing behind":  {KeyLeads[Pair[int64, struct{}]](), true},
		"short key":       {KeyLeads[Pair[int32, int64]](), false},
		"fraction":        {KeyLeads[Pair[float64, int64]](), false},
		"text":            {KeyLeads[Pair[string, int64]](), false},
		"text behind":     {KeyLeads[Pair[int64, string]](), false},
		"not a pair":      {KeyLeads[looksLikeAPair](), false},
		"a number":        {KeyLeads[int64](), false},
		"a pair of pairs": {KeyLeads[Pair[Pair[int64, int64], int64]](), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", name, c.got)
		}
	}
	row := Pair[uint64, bool]{Key: 1<<64 - 5}
	if k := Lead(&row); k != -5 {
		t.Errorf("leads with %d", k)
	}
}
