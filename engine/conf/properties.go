package conf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// PropertiesMax is the largest properties file that is read, in bytes. A
// configuration is a few KiB; a larger file is some other file.
const PropertiesMax = 1 << 20

// ReadProperties reads the format of Java properties files, in which Spark
// keeps spark-defaults.conf:
//
//  1. A line whose first character other than blanks is # or ! is a comment.
//  2. A line that ends in an odd number of backslashes continues on the next,
//     whose leading blanks are dropped.
//  3. The key ends at the first =, : or blank that no backslash precedes;
//     blanks around the separator are dropped.
//  4. \t \n \r \f and \uXXXX stand for characters; any other character after
//     a backslash stands for itself.
//
// The file is UTF-8. Blanks at the end of a value are dropped, as Spark does.
// Of two lines with one key the later holds. Errors name the line.
func ReadProperties(r io.Reader) (map[string]string, error) {
	values := map[string]string{}
	lines := &logicalLines{in: bufio.NewScanner(io.LimitReader(r, PropertiesMax+1))}
	lines.in.Buffer(make([]byte, 0, 4096), PropertiesMax+1)
	lines.in.Split(naturalLines)
	for lines.next() {
		key, value, err := splitProperty(lines.text)
		if err != nil {
			return nil, fmt.Errorf("cannot read line %d: %w", lines.start, err)
		}
		if key == "" {
			return nil, fmt.Errorf("cannot read line %d: it has a value and no key", lines.start)
		}
		values[key] = value
	}
	err := lines.in.Err()
	if lines.bytes > PropertiesMax || errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("cannot read properties: there are more than %d bytes", PropertiesMax)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read line %d: %w", lines.number+1, err)
	}
	return values, nil
}

// WriteProperties writes values in the format that ReadProperties reads,
// sorted by key. Blanks at either end of a value are kept as far as the
// format allows: at its beginning.
func WriteProperties(w io.Writer, values map[string]string) error {
	var b strings.Builder
	for _, key := range sortedKeys(values) {
		escapeProperty(&b, key, true)
		b.WriteByte(' ')
		escapeProperty(&b, values[key], false)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// logicalLines joins natural lines: comments and blank ones are dropped,
// continuations appended.
type logicalLines struct {
	in     *bufio.Scanner
	number int // natural lines read so far
	bytes  int // of all natural lines, terminators included
	start  int // number of the first natural line of text
	text   string
}

func (l *logicalLines) scan() bool {
	if !l.in.Scan() {
		return false
	}
	l.number++
	l.bytes += len(l.in.Bytes()) + 1
	return true
}

func (l *logicalLines) next() bool {
	for l.scan() {
		line := strings.TrimLeft(l.in.Text(), blanks)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		l.start = l.number
		var b strings.Builder
		for continued(line) {
			b.WriteString(line[:len(line)-1])
			line = ""
			if !l.scan() {
				break
			}
			line = strings.TrimLeft(l.in.Text(), blanks)
		}
		b.WriteString(line)
		if l.text = b.String(); l.text == "" {
			continue // a lone backslash and nothing after it
		}
		return true
	}
	return false
}

const blanks = " \t\f"

// continued reports whether line ends in an odd number of backslashes.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// naturalLines is a bufio.SplitFunc for lines that end in \n, \r or \r\n.
func naturalLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i, c := range data {
		switch {
		case c == '\n':
			return i + 1, data[:i], nil
		case c == '\r' && i+1 < len(data):
			if data[i+1] == '\n' {
				return i + 2, data[:i], nil
			}
			return i + 1, data[:i], nil
		case c == '\r' && atEOF:
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// splitProperty cuts a logical line into key and value, escapes resolved.
func splitProperty(line string) (key, value string, err error) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	rest := strings.TrimLeft(line[end:], blanks)
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	if key, err = unescapeProperty(line[:end]); err != nil {
		return "", "", err
	}
	if value, err = unescapeProperty(rest); err != nil {
		return "", "", err
	}
	return key, strings.TrimRight(value, blanks), nil
}

func unescapeProperty(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("it is not UTF-8")
	}
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r, n, err := unescapeUnicode(s[i-1:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += n - 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// unescapeUnicode reads \uXXXX, or two of them that make one character, at
// the start of s, and returns how many bytes it read.
func unescapeUnicode(s string) (rune, int, error) {
	unit := func(s string) (rune, bool) {
		if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(s[2:6], 16, 16)
		return rune(v), err == nil
	}
	r, ok := unit(s)
	if !ok {
		return 0, 0, fmt.Errorf(`%q is not a character: \u takes four hexadecimal digits`, s[:min(6, len(s))])
	}
	if !utf16.IsSurrogate(r) {
		return r, 6, nil
	}
	if low, ok := unit(s[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12, nil
		}
	}
	return 0, 0, fmt.Errorf("%q is half a character", s[:6])
}

func escapeProperty(b *strings.Builder, s string, key bool) {
	for i, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\f':
			b.WriteString(`\f`)
		case r == ' ' && (key || i == 0), (r == '=' || r == ':') && (key || i == 0), (r == '#' || r == '!') && key && i == 0:
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
}
