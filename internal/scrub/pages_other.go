//go:build !linux

package scrub

// inMemory cannot tell here: all pages are cleared.
func inMemory([]byte) bool { return true }
