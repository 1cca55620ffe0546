package wordcount

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// compressed reports whether a file's name says that it is compressed, by
// the same endings that the engine goes by.
func compressed(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz", ".zst", ".zstd":
		return true
	}
	return false
}

// scanCompressed adds every word of the text that a compressed file holds to
// out. buf is as in scanStream.
func scanCompressed(path string, buf []byte, out *batch) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf, fmt.Errorf("cannot open input: %w", err)
	}
	defer f.Close()
	var text io.Reader
	if strings.EqualFold(filepath.Ext(path), ".gz") {
		text, err = gzip.NewReader(f)
	} else {
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err == nil {
			defer d.Close()
			text = d
		}
	}
	if err == nil {
		buf, err = scanStream(text, buf, out)
	}
	if err != nil {
		return buf, fmt.Errorf("cannot decompress %s: %w", path, err)
	}
	return buf, nil
}
