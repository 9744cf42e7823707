//go:build race

package scrub

// raceDetector: it keeps some hundred KiB for each goroutine, and a shadow of all
// memory, which nothing here clears.
const raceDetector = true
