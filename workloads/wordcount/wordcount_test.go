package wordcount

import (
	"math"
	"strings"
	"testing"
)

func TestFormatIsWhatTheVerifierReads(t *testing.T) {
	for _, c := range []count{
		{Key: "a", Value: 1}, {Key: "\x00\xff", Value: math.MaxInt64}, {Key: strings.Repeat("x", 1000), Value: 10},
	} {
		word, n := parseLine(format(nil, c))
		if string(word) != c.Key || n != c.Value {
			t.Errorf("%.20q, %d reads back as %.20q, %d", c.Key, c.Value, word, n)
		}
	}
}
