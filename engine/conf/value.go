package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// text is a settable field of any type whose values are strings.
type text func(string)

// choice binds a field of a named string type.
func choice[T ~string](p *T) any { return text(func(v string) { *p = T(v) }) }

// store reads a value's text and puts it where bind points. The error says
// what is wrong with the text alone; the caller adds key and source.
func (k *Key) store(s *Settings, v string) error {
	switch p := k.bind(s).(type) {
	case *bool:
		b, err := readBool(v)
		*p = b
		return err
	case *int:
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("it is not a whole number")
		}
		*p = n
		return inRange(k, n, strconv.Atoi)
	case *float64:
		x, err := readFloat(v)
		if err != nil {
			return err
		}
		*p = x
		return inRange(k, x, readFloat)
	case *units.Bytes:
		n, err := k.readBytes(v)
		if err != nil {
			return err
		}
		*p = n
		return inRange(k, n, k.readBytes)
	case *time.Duration:
		d, err := k.readDuration(v)
		if err != nil {
			return err
		}
		*p = d
		return inRange(k, d, k.readDuration)
	case *string:
		*p = v
		return nil
	case *Master:
		m, err := ParseMaster(v)
		*p = m
		return err
	case text:
		for _, c := range k.Choices {
			if strings.EqualFold(c, v) {
				p(c)
				return nil
			}
		}
		return fmt.Errorf("it is not one of %s", strings.Join(k.Choices, ", "))
	default:
		panic(fmt.Sprintf("conf: key %s is bound to a %T", k.Name, p))
	}
}

func readBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("it is neither true nor false")
}

func readFloat(v string) (float64, error) {
	x, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("it is not a number")
	}
	return x, nil
}

func (k *Key) readBytes(v string) (units.Bytes, error) {
	if k.Off && v == "-1" {
		return 0, nil
	}
	return units.ParseBytes(k.withUnit(v))
}

func (k *Key) readDuration(v string) (time.Duration, error) {
	return units.ParseDuration(k.withUnit(v))
}

// withUnit appends the key's unit to a bare number. Spark has a unit of its
// own for each key, so that "128" is 128 MiB for one and 128 bytes for
// another.
func (k *Key) withUnit(v string) string {
	if v != "" && strings.Trim(v, "+-.0123456789") == "" {
		return v + k.Unit
	}
	return v
}

func inRange[T int | float64 | units.Bytes | time.Duration](k *Key, v T, read func(string) (T, error)) error {
	if k.Min != "" {
		if low, err := read(k.Min); err != nil {
			panic(fmt.Sprintf("conf: lower limit of %s: %v", k.Name, err))
		} else if v < low {
			return fmt.Errorf("it is below %s", k.Min)
		}
	}
	if k.Max != "" {
		if high, err := read(k.Max); err != nil {
			panic(fmt.Sprintf("conf: upper limit of %s: %v", k.Name, err))
		} else if v > high {
			return fmt.Errorf("it is above %s", k.Max)
		}
	}
	return nil
}
