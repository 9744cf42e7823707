//go:build !linux

package scrub

// Prepare does nothing here.
func Prepare() {}

func threads() {}
