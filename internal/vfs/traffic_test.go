package vfs_test

import (
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

func TestTraffic(t *testing.T) {
	var traffic vfs.Traffic
	files, dir := vfs.Counting(vfs.OS(), &traffic), t.TempDir()
	f, err := files.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = f.WriteAt(make([]byte, 1000), 50)
	do(err)
	do(f.Sync())
	do(f.SyncData())
	if w, ok := f.(vfs.WritebackStarter); !ok {
		t.Error("the hint is lost")
	} else {
		do(w.StartWriteback(0, 1000))
	}
	do(f.Close())
	do(files.SyncDir(dir))
	do(files.Update(dir, func() error { return nil }))
	f, err = files.OpenWrite(filepath.Join(dir, "f"))
	do(err)
	_, err = f.WriteAt(make([]byte, 24), 0)
	do(err)
	do(f.Close())
	if _, err := files.OpenWrite(filepath.Join(dir, "absent")); err == nil {
		t.Error("what is absent was opened")
	}
	if traffic.Written() != 1024 || traffic.Syncs() != 5 {
		t.Errorf("%d bytes and %d syncs, not 1024 and 5", traffic.Written(), traffic.Syncs())
	}
}
