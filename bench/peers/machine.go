package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// measured are the modules whose versions the page names.
var measured = []string{
	"github.com/cockroachdb/pebble/v2", "github.com/dgraph-io/badger/v4", "github.com/mattn/go-sqlite3",
	"go.etcd.io/bbolt", "modernc.org/sqlite",
}

// inHelpers are those that other programs of this module link.
var inHelpers = []string{"github.com/ncruces/go-sqlite3", "github.com/mutecomm/go-sqlcipher/v4"}

// describe notes where and how it is measured.
func (b *bench) describe() error {
	r := &b.results
	disk, err := diskOf(b.dir)
	if err != nil {
		return err
	}
	r.Date, r.Command = time.Now().UTC().Truncate(time.Second), strings.Join(append([]string{"go", "run", "."}, os.Args[1:]...), " ")
	r.Machine, r.Disk, r.Go = machine(), disk, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH
	r.Rows, r.Rounds, r.CacheMiB, r.Seconds = b.rows, b.config.rounds, b.cache>>20, b.time.Seconds()
	r.Versions = map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Errorf("the program does not know what it is built of")
	}
	for _, m := range info.Deps {
		if slices.Contains(measured, m.Path) {
			r.Versions[m.Path] = m.Version
		}
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Versions["github.com/byokdb/byokdb"] = strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("go", append([]string{"list", "-m", "-f", "{{.Path}} {{.Version}}"}, inHelpers...)...).Output(); err == nil {
		for line := range strings.Lines(string(out)) {
			if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				r.Versions[path] = version
			}
		}
	}
	return nil
}

// machine names the processor and the memory.
func machine() string {
	name := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer func() { _ = f.Close() }() // opened for reading only
		for s := bufio.NewScanner(f); s.Scan(); {
			if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
				name = strings.TrimSpace(v)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	var uts unix.Utsname
	if unix.Sysinfo(&info) != nil || unix.Uname(&uts) != nil {
		return name
	}
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s", name, runtime.NumCPU(), info.Totalram*uint64(info.Unit)>>30, unix.ByteSliceToString(uts.Release[:]))
}

// diskOf names the file system of a directory. One in memory is refused:
// nothing is durable there.
func diskOf(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", err
	}
	switch st.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "", fmt.Errorf("%s is in memory: nothing is durable there; see -dir", dir)
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", nil
	case unix.XFS_SUPER_MAGIC:
		return "xfs", nil
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", nil
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", nil
	}
	return fmt.Sprintf("file system %#x", st.Type), nil
}
