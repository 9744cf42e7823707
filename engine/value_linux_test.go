package engine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// peak runs fn and returns by how many bytes the process's resident memory was at
// most above what it was before.
func peak(t *testing.T, fn func()) int64 {
	t.Helper()
	debug.FreeOSMemory()
	var before int64
	for range 1000 {
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the high-water mark begins anew
			t.Skipf("the peak of memory cannot be measured here: %v", err)
		}
		before = memory(t, "VmRSS")
		if memory(t, "VmHWM")-before < 1<<20 { // else memory is being given back just now
			break
		}
	}
	fn()
	return memory(t, "VmHWM") - before
}

// memory returns a field of /proc/self/status in bytes.
func memory(t *testing.T, field string) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	for in := bufio.NewScanner(f); in.Scan(); {
		var n int64
		if rest, ok := strings.CutPrefix(in.Text(), field+":"); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("/proc/self/status has no %s", field)
	return 0
}

// TestLargestValue takes a value of the largest size through its life, and looks
// at what that needs: at most the transaction, the memtable and the log's buffer
// hold it whole, and in the tree nobody does.
func TestLargestValue(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 400 MiB")
	}
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), &Options{CacheSize: 1 << 20})
	const size, slack = ValueSizeMax, 16 << 20
	check := func(what string, whole int64, fn func()) {
		t.Helper()
		n := peak(t, fn)
		t.Logf("%s: %.1f MiB", what, float64(n)/(1<<20))
		if n > whole*size+slack {
			t.Errorf("%s needs %d MiB, want at most %d values and %d MiB", what, n>>20, whole, slack>>20)
		}
	}
	read := func() {
		in(t, db, false, func(c *Collection) {
			r, err := c.GetReader([]byte("large"))
			if err != nil {
				t.Fatal(err)
			}
			checkPattern(t, r, size)
		})
	}
	check("put and commit", 3, func() {
		in(t, db, true, func(c *Collection) { putPattern(t, c, "large", size) })
	})
	check("read from the memtable", 0, read)
	check("flush", 0, func() { flush(t, db) })
	check("read from a run", 0, read)
	in(t, db, true, func(c *Collection) {
		if err := c.Put([]byte("beside"), nil); err != nil {
			t.Fatal(err)
		}
	})
	check("compact", 0, func() {
		if err := db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	check("read from a merged run", 0, read)
	check("Get", 1, func() {
		in(t, db, false, func(c *Collection) {
			if v, err := c.Get([]byte("large")); err != nil || len(v) != size {
				t.Errorf("Get: %d bytes, %v", len(v), err)
			}
		})
	})
	check("verify", 1, func() {
		if err := db.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
	check("delete and compact", 0, func() {
		in(t, db, true, func(c *Collection) {
			if err := c.Delete([]byte("large")); err != nil {
				t.Fatal(err)
			}
		})
		if err := db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	if st := db.Status(); st.RunBytes > 64<<10 {
		t.Errorf("%d bytes of runs are left", st.RunBytes)
	}
}
