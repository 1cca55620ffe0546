package invariant

import "testing"

func TestCheckPanicsOnlyWhenBroken(t *testing.T) {
	Check(true, "unused %d", 1)
	defer func() {
		v, ok := recover().(*Violation)
		if !ok {
			t.Fatal("a broken invariant did not panic with a *Violation")
		}
		if want := "broken invariant: 3 pages, want 2"; v.Error() != want {
			t.Errorf("message %q, want %q", v.Error(), want)
		}
	}()
	Check(1 > 2, "%d pages, want %d", 3, 2)
}
