// Package units owns sizes and durations as people write and read them.
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size in bytes.
type Bytes int64

// Binary and decimal multiples. Decimal ones are for data sizes as users
// type them ("1GB"), binary ones for memory.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
	KB  Bytes = 1e3
	MB  Bytes = 1e6
	GB  Bytes = 1e9
	TB  Bytes = 1e12
)

// String returns the size in the largest binary unit not above it, with
// three significant digits: "512 B", "1.50 GiB".
func (b Bytes) String() string {
	v, neg := float64(b), ""
	if b < 0 {
		v, neg = -v, "-"
	}
	names := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for v >= 1023.5 && i < len(names)-1 {
		v /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%s%d B", neg, int64(v))
	}
	return neg + threeDigits(v) + " " + names[i]
}

// threeDigits prints v ≥ 0 with three significant digits and no exponent.
func threeDigits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

var suffixes = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, // Spark's: binary
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15,
}

// ParseBytes reads a size: "1GB" is 1e9 bytes, "1GiB" and Spark's "1g" are
// 2^30, a bare number is bytes. Case and one space before the unit do not
// matter. Negative sizes and sizes beyond int64 are errors.
func ParseBytes(s string) (Bytes, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(t)
	}
	unit, ok := suffixes[strings.TrimSpace(t[i:])]
	if i == 0 || !ok {
		return 0, fmt.Errorf("cannot read %q as a size: write a number and a unit, like 512MiB, 1GB or 2g", s)
	}
	if whole, err := strconv.ParseInt(t[:i], 10, 64); err == nil && float64(whole)*unit < math.MaxInt64/2 {
		return Bytes(whole) * Bytes(unit), nil
	}
	v, err := strconv.ParseFloat(t[:i], 64)
	if err != nil || math.IsNaN(v) {
		return 0, fmt.Errorf("cannot read %q as a size: %q is not a number", s, t[:i])
	}
	v *= unit
	if v >= math.MaxInt64 {
		return 0, tooLarge(fmt.Sprintf("cannot read %q as a size: it is larger than %s", s, Bytes(math.MaxInt64)))
	}
	return Bytes(math.Round(v)), nil
}

// tooLarge is an error that is a strconv.ErrRange and says more.
type tooLarge string

func (e tooLarge) Error() string { return string(e) }
func (tooLarge) Unwrap() error   { return strconv.ErrRange }

// Duration prints d with three significant digits in the unit that suits:
// "950 ns", "12.3 µs", "1.50 s", "2m 05s", "1h 02m".
func Duration(d time.Duration) string {
	neg := ""
	if d < 0 {
		if d == math.MinInt64 {
			d++
		}
		d, neg = -d, "-"
	}
	v := float64(d)
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%s%d ns", neg, int64(d))
	case v < 999.5e3:
		return neg + threeDigits(v/1e3) + " µs"
	case v < 999.5e6:
		return neg + threeDigits(v/1e6) + " ms"
	case d < 100*time.Second:
		return neg + threeDigits(v/1e9) + " s"
	case d < time.Hour:
		s := int64(math.Round(v / 1e9))
		return fmt.Sprintf("%s%dm %02ds", neg, s/60, s%60)
	default:
		m := int64(math.Round(v / 60e9))
		return fmt.Sprintf("%s%dh %02dm", neg, m/60, m%60)
	}
}

// ParseDuration reads a duration as Go writes it ("1.5s", "200ms", "50us")
// or as Spark does ("10s", "1min", "100ms", "1h", "1d", bare number =
// seconds, Spark's default unit for time settings).
func ParseDuration(s string) (time.Duration, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	if v, err := strconv.ParseFloat(t, 64); err == nil && !math.IsNaN(v) && math.Abs(v) < 9e9 {
		return time.Duration(v * float64(time.Second)), nil
	}
	if n, ok := strings.CutSuffix(t, "min"); ok {
		t = n + "m"
	}
	if n, ok := strings.CutSuffix(t, "d"); ok {
		if v, err := strconv.ParseFloat(n, 64); err == nil && v >= 0 && v < 100000 {
			return time.Duration(v * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(t)
	if err != nil {
		return 0, fmt.Errorf("cannot read %q as a duration: write a number and a unit, like 50us, 200ms or 10s", s)
	}
	return d, nil
}
