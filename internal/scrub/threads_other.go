//go:build !linux

package scrub

// threads does nothing here: only Linux names a thread's signal stack.
func threads() {}
