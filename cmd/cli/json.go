package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// schemaVersion is that of every command's --json output.
const schemaVersion = 1

// writeJSON writes one document.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	return nil
}
