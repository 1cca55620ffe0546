package codec

import "reflect"

// Padded reports whether the encoded rows of T hold bytes that belong to no
// field, or to a blank one: equal rows may then differ in their bytes.
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
			f := t.Field(i)
			if size += f.Type.Size(); f.Name == "_" && f.Type.Size() > 0 || padded(f.Type) {
				return true
			}
		}
		return isPlain(t) && size != t.Size()
	}
	return false
}
