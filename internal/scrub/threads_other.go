//go:build !linux

package scrub

// threads does nothing here: only Linux names a thread's signal stack.
func threads() {}

// nProcsMin is on how many of the runtime's processors goroutines are preempted,
// if there are not more.
const nProcsMin = 2

// nap only lets who wants the processor have it: only on Linux is it known how a
// thread sleeps behind the runtime's back.
//
//go:noinline
func nap() { Stack() }
