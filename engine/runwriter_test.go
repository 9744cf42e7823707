package engine

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// TestFailedRunIsLetGo fails each kind of call of the end of a run: the file is
// removed, which shows that its builder, and with it the file key, was let go.
func TestFailedRunIsLetGo(t *testing.T) {
	for _, op := range []memfs.Op{memfs.OpWrite, memfs.OpSync, memfs.OpOpen, memfs.OpSyncDir} {
		fs := memFS(t)
		db, err := Open(t.Context(), memDir, newFakeKey("k"), smallOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		put(t, db, "c", "k", "v")
		db.session.stop()
		w := &runWriter{s: db.session, ctx: t.Context()}
		if err := w.add(append(collectionPrefix(1), "key"...), false, []byte("value")); err != nil {
			t.Fatal(err)
		}
		fs.SetFault(&memfs.Fault{Err: syscall.EIO, Reads: true, Only: func(o memfs.Op, path string) bool {
			return o == op && (strings.HasSuffix(path, ".run") || filepath.Base(path) == runDir)
		}})
		if _, err := w.finish(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", op, err)
		}
		if fs.Faults() != 1 {
			t.Errorf("%s: %d faults", op, fs.Faults())
		}
		fs.SetFault(nil)
		if names, err := fs.List(filepath.Join(memDir, runDir)); err != nil || len(names) > 0 {
			t.Errorf("after a failed %s there are %q, %v", op, names, err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}
