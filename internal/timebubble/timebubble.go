// Package timebubble runs tests in bubbles of testing/synctest, also where only
// FIPS 140 cryptography is allowed.
package timebubble

import (
	"crypto/fips140"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// Test is synctest.Test. In the mode GODEBUG=fips140=only the source of entropy
// measures how long its own steps take, finds that under a bubble's clock they take
// no time, and panics: there, and only there, random numbers come from a generator
// with a seed from outside of the bubble.
func Test(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	if fips140.Enforced() {
		cryptotest.SetGlobalRandom(t, rand.Uint64())
	}
	synctest.Test(t, fn)
}

// Parallel is t.Parallel, for tests that call Test: a generator with a seed serves
// one test at a time.
func Parallel(t *testing.T) {
	t.Helper()
	if !fips140.Enforced() {
		t.Parallel()
	}
}
