package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	got := parse(strings.NewReader(`goos: linux
BenchmarkGet/value=100/goroutines=1-2   	  100	  1234 ns/op	 5 B/op
BenchmarkScan-2   	  100	  12.5 ns/op
BenchmarkBroken-2   	  100	  what ns/op
PASS`))
	if len(got) != 2 || got["Get/value=100/goroutines=1"] != 1234 || got["Scan"] != 12.5 {
		t.Errorf("%v", got)
	}
}

func TestCost(t *testing.T) {
	for _, c := range []struct {
		sealed, copied []float64
		verdict, text  string
	}{
		{[]float64{102, 103, 104}, []float64{100, 100, 100}, "met", "| +3.0 % |"},
		{[]float64{150, 330, 220}, []float64{100, 200, 150}, "not met", "| +50.0 % |"},
		{[]float64{90, 100, 130}, []float64{100, 100, 100}, "undecided", "| ≈ |"},
		{[]float64{98, 97, 99}, []float64{100, 100, 100}, "met", "| -2.0 % |"},
		{[]float64{60, 80, 95}, []float64{100, 100, 100}, "undecided", "| -20.0 % |"},
		{[]float64{103, 104, 120}, []float64{100, 100, 100}, "undecided", "| +4.0 % |"},
	} {
		cost := costOf("x", c.sealed, c.copied)
		var b bytes.Buffer
		Report{Costs: []Cost{cost}}.print(&b)
		if cost.Verdict() != c.verdict || !strings.Contains(b.String(), c.text) {
			t.Errorf("%v, %v: %s, %s", c.sealed, c.copied, cost.Verdict(), b.String())
		}
	}
}
