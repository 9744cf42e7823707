package scrub

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	s := time.Now()
	t.Log(Heap(), time.Since(s))
	s = time.Now()
	t.Log(Heap(), time.Since(s))
}
