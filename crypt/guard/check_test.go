package guard

import (
	"context"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

// BenchmarkCheck is what every operation pays for the lease.
func BenchmarkCheck(b *testing.B) {
	g, err := Start(Config{
		Policy: Policy{ProbeInterval: time.Hour, ProbeTimeout: time.Minute, Deadline: time.Hour},
		Probe:  func(context.Context) (crypt.Receipt, error) { return crypt.Receipt{}, nil },
	}, Record{}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	b.Run("clock alone", func(b *testing.B) {
		for b.Loop() {
			_ = g.clk.Monotonic()
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := g.Check(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := g.Check(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// TestCheckAllocatesNothing guards what BenchmarkCheck reports.
func TestCheckAllocatesNothing(t *testing.T) {
	r := newRig(t, testPolicy)
	r.cfg.Clock = clock.System()
	r.start()
	if n := testing.AllocsPerRun(100, func() { _ = r.g.Check() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
