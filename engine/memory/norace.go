//go:build !race

package memory

const raceBuild = false
