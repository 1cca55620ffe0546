package units

import (
	"strings"
	"testing"
	"time"
)

func TestParseBytes(t *testing.T) {
	for in, want := range map[string]Bytes{
		"0": 0, "1": 1, "1GB": 1e9, "1GiB": 1 << 30, "1g": 1 << 30, "512m": 512 << 20, "512 MiB": 512 << 20,
		"1.5kb": 1500, "0.5k": 512, " 2TiB ": 2 << 40, "10B": 10, "8191PiB": 8191 << 50,
	} {
		if got, err := ParseBytes(in); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "1x", "-1", "GB", "1.2.3m", "1e30", "99999999999g", "1 2 MiB", "NaN", "."} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		} else if !strings.Contains(err.Error(), in) {
			t.Errorf("the error does not name %q: %v", in, err)
		}
	}
}

func TestBytesString(t *testing.T) {
	for b, want := range map[Bytes]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB", 10 << 20: "10.0 MiB",
		999 << 20: "999 MiB", 1<<30 - 1: "1.00 GiB", -2048: "-2.00 KiB", 1 << 50: "1.00 PiB",
	} {
		if got := b.String(); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", int64(b), got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 950: "950 ns", 12300: "12.3 µs", 999600: "1.00 ms", 1500 * time.Millisecond: "1.50 s",
		99 * time.Second: "99.0 s", 125 * time.Second: "2m 05s", 62 * time.Minute: "1h 02m", -time.Second: "-1.00 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"50us": 50 * time.Microsecond, "1.5s": 1500 * time.Millisecond, "10": 10 * time.Second, "1min": time.Minute,
		"1d": 24 * time.Hour, "100ms": 100 * time.Millisecond, "0": 0, "365d": 365 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "s", "1 parsec", "x5s", "1e300"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1.5GiB")
	f.Add("1e9d")
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := ParseBytes(s); err == nil && b < 0 {
			t.Errorf("ParseBytes(%q) = %d", s, b)
		}
		_, _ = ParseDuration(s)
	})
}
