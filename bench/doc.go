// Package bench measures the engine beside bbolt, in one run on one machine:
//
//	go test -bench . ./bench -rows 1000000
//
// bbolt is the one peer that the project depends on anyway.
package bench
