//go:build amd64 || arm64

package codec

// unalignedViews: the machine loads words from any address.
const unalignedViews = true
