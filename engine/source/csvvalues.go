package source

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// String returns a field without its quotes, as a view: strings.Clone keeps
// it beyond the batch.
func (rows *Rows) String(row, col int) string {
	b := rows.Bytes(row, col)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Int returns a field as a whole number: an optional sign and digits. A field
// that is none gives 0 and makes the reading fail after the batch, naming
// file, line and column.
func (rows *Rows) Int(row, col int) int64 {
	b := rows.Bytes(row, col)
	if v, ok := parseInt(b); ok {
		return v
	}
	rows.failValue(row, col, "a whole number of 64 bits")
	return 0
}

// Float returns a field as a number, rounded to the nearest float64 as
// strconv.ParseFloat does. A field that is none fails as Int's do.
func (rows *Rows) Float(row, col int) float64 {
	b := rows.Bytes(row, col)
	if v, ok := parseFloat(b); ok {
		return v
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64)
	if err != nil {
		rows.failValue(row, col, "a number")
		return 0
	}
	return v
}

// Err returns the first failed access so far, or nil.
func (rows *Rows) Err() error { return rows.err }

func (rows *Rows) failValue(row, col int, want string) {
	if rows.err != nil {
		return
	}
	text := rows.String(row, col)
	if len(text) > 40 {
		text = strings.ToValidUTF8(text[:40], "") + "…"
	}
	column := 0
	for i, slot := range rows.slots {
		if int(slot) == col {
			column = i
		}
	}
	rows.err = rows.fail(int(rows.starts[row]), column, fmt.Errorf("%w: %q is not %s", ErrValue, text, want))
}

// parseInt reads an optional sign and 1 to 19 digits itself, which fit 64 bits
// without a sign, and leaves what is longer to strconv.
func parseInt(b []byte) (int64, bool) {
	digits := b
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) == 0 {
		return 0, false
	}
	if len(digits) > 19 {
		v, err := strconv.ParseInt(unsafe.String(unsafe.SliceData(b), len(b)), 10, 64)
		return v, err == nil
	}
	var v uint64
	for _, c := range digits {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + uint64(d)
	}
	if b[0] == '-' {
		return int64(-v), v <= 1<<63
	}
	return int64(v), v < 1<<63
}

// powers of ten that a float64 holds exactly.
var exactTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat reads plain decimals of at most 15 digits: the digits as a whole
// number and the power of ten are then both exact, so that one division
// rounds once and right (Clinger 1990). It declines everything else.
func parseFloat(b []byte) (float64, bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i, negative = 1, b[0] == '-'
	}
	var digits uint64
	count, fraction, point := 0, 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c-'0' <= 9:
			digits = digits*10 + uint64(c-'0')
			count++
			if point {
				fraction++
			}
		case c == '.' && !point:
			point = true
		default:
			return 0, false
		}
	}
	if count == 0 || count > 15 {
		return 0, false
	}
	v := float64(digits) / exactTen[fraction]
	if negative {
		v = math.Copysign(v, -1)
	}
	return v, true
}
