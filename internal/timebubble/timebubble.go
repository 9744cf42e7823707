// Package timebubble lets tests in bubbles of testing/synctest run where only FIPS
// 140 cryptography is allowed.
//
// In the mode GODEBUG=fips140=only the source of entropy measures how long its own
// steps take, finds that under a bubble's clock they take no time, and panics.
package timebubble

import (
	"crypto/fips140"
	"hash/maphash"
	"testing"
	"testing/cryptotest"
)

// Prepare is called before a bubble is made. In that mode, and only in it, random
// numbers come from a generator with a seed until the test ends.
func Prepare(t *testing.T) {
	t.Helper()
	if fips140.Enforced() {
		cryptotest.SetGlobalRandom(t, maphash.Bytes(maphash.MakeSeed(), nil))
	}
}

// Parallel is t.Parallel, for tests that call Prepare: a generator with a seed
// serves one test at a time.
func Parallel(t *testing.T) {
	t.Helper()
	if !fips140.Enforced() {
		t.Parallel()
	}
}
