//go:build !amd64 && !arm64

package codec

// unalignedViews: the machine may fault on words at odd addresses.
const unalignedViews = false
