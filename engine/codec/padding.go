package codec

import "reflect"

// Padded reports whether the encoded rows of T hold bytes that belong to no
// field: equal rows may then differ in their bytes.
func Padded[T any]() bool { return padded(reflect.TypeFor[T]()) }

func padded(t reflect.Type) bool {
	if isCustom(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Array, reflect.Slice:
		return padded(t.Elem())
	case reflect.Struct:
		size := uintptr(0)
		for i := range t.NumField() {
			f := t.Field(i).Type
			if size += f.Size(); padded(f) {
				return true
			}
		}
		return isPlain(t) && size != t.Size()
	}
	return false
}
