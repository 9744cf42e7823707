package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

// longer returns n, half of it in short tests, or many when BYOKDB_LONG_BACKUP
// is set.
func longer(n, many int) int {
	switch {
	case os.Getenv("BYOKDB_LONG_BACKUP") != "":
		return many
	case testing.Short():
		return (n + 1) / 2
	default:
		return n
	}
}

// soundBackup makes a closed database and a destination with two sets of it.
func soundBackup(t *testing.T) (dir, dest string, key *fakeKey) {
	t.Helper()
	key, dir, dest = newFakeKey("k"), filepath.Join(t.TempDir(), "s.byok"), filepath.Join(t.TempDir(), "dest")
	db, err := Open(t.Context(), dir, key, &Options{MemtableSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		fillRuns(t, db, 100)
		if _, err := db.BackupTo(t.Context(), dest, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, dest, key
}

// restoreError restores both sets into nowhere and returns the first fault.
func restoreError(t *testing.T, dest string, key crypt.Provider) error {
	t.Helper()
	for _, n := range []uint64{1, 2} {
		into := filepath.Join(t.TempDir(), "r")
		_, err := Restore(t.Context(), dest, into, key, &RestoreOptions{Set: n})
		if _, serr := os.Stat(into); err != nil && !errors.Is(serr, fs.ErrNotExist) {
			t.Errorf("a restoring that failed left something: %v", serr)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestDamagedBackup (B7, B8) flips bits all over every file of a destination, and cuts
// and removes each.
func TestDamagedBackup(t *testing.T) {
	_, dest, key := soundBackup(t)
	if err := restoreError(t, dest, key); err != nil {
		t.Fatal(err)
	}
	places := longer(3, 40)
	nFiles := map[string]int{}
	err := filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName {
			return err
		}
		good, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		nFiles[filepath.Ext(d.Name())]++
		check := func(what string, bad []byte, remove bool) error {
			err := os.WriteFile(path, bad, 0o600)
			if remove {
				err = os.Remove(path)
			}
			if err != nil {
				return err
			}
			found := restoreError(t, dest, key)
			ok := errors.Is(found, ErrCorrupt) || errors.Is(found, ErrNotBackup) && d.Name() == backupMarker ||
				errors.Is(found, ErrTooNew) && d.Name() == backupMarker || remove && errors.Is(found, ErrNotExist)
			if !ok {
				t.Errorf("%s, %s: %v", path, what, found)
			}
			if strings.HasSuffix(d.Name(), ".run") && !strings.Contains(found.Error(), d.Name()) {
				t.Errorf("the error does not name %s: %v", d.Name(), found)
			}
			return os.WriteFile(path, good, 0o600)
		}
		for i := range places {
			bad := bytes.Clone(good)
			bad[i*(len(bad)-1)/(places-1)] ^= 1 << (i % 8)
			if err := check("flipped", bad, false); err != nil {
				return err
			}
		}
		return errors.Join(
			check("cut", good[:len(good)-1], false),
			check("extended", append(bytes.Clone(good), 0), false), check("removed", nil, true),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	if nFiles[".run"] < 2 || nFiles[".wal"] < 2 || nFiles[".bolt"] != 2 || nFiles[".json"] != 2 || nFiles[""] != 1 {
		t.Errorf("not everything was damaged: %v", nFiles)
	}
	if err := restoreError(t, dest, key); err != nil {
		t.Errorf("the undamaged backup: %v", err)
	}
}

// TestDamagedStream (B7, B8) flips bytes of a stream, and cuts it at places near every
// entry's beginning and end. What is found whole must be whole.
func TestDamagedStream(t *testing.T) {
	dir, _, key := soundBackup(t)
	var out bytes.Buffer
	if _, err := BackupStream(t.Context(), dir, &out, nil); err != nil {
		t.Fatal(err)
	}
	good := out.Bytes()
	try := func(b []byte) error {
		_, err := RestoreStream(t.Context(), bytes.NewReader(b), filepath.Join(t.TempDir(), "r"), key, nil)
		return err
	}
	if err := try(good); err != nil {
		t.Fatal(err)
	}
	step := len(good)/longer(30, 2000) | 1
	noticed, meaningless := 0, 0
	for at := 0; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		switch err := try(bad); {
		case err == nil && good[at] == 0: // padding between entries
			meaningless++
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNotBackup):
			noticed++
		default:
			t.Errorf("byte %d of %d: %v", at, len(good), err)
		}
		// Behind the index there is up to a block of padding, and 1024 zeros end
		// the archive; without them it is as whole.
		if err := try(good[:at]); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotBackup) && at < len(good)-1536 {
			t.Errorf("cut at %d of %d: %v", at, len(good), err)
		}
	}
	if noticed < 8 || meaningless > noticed/4 {
		t.Errorf("%d changes noticed, %d without meaning", noticed, meaningless)
	}
	if err := try(append(bytes.Clone(good[:len(good)-1024]), good...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a stream behind a stream: %v", err)
	}
}

// TestRestoreRefuses (B6) lists what restoring says of arguments that do not fit.
func TestRestoreRefuses(t *testing.T) {
	dir, dest, key := soundBackup(t)
	_, other, otherKey := soundBackup(t)
	into := func() string { return filepath.Join(t.TempDir(), "into") }
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := newFakeKey("another")
	inTheWay := into()
	if err := os.MkdirAll(filepath.Join(inTheWay+restoringEnd, "precious"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, src, dir string
		key            crypt.Provider
		want           error
	}{
		{"another key", dest, into(), wrong, ErrWrongKey},
		{"another key, plain copy", dir, into(), wrong, ErrWrongKey},
		{"a directory that holds something", dest, full, key, ErrExist},
		{"a database in the way", dest, dir, key, ErrExist},
		{"something where it is built", dest, inTheWay, key, ErrExist},
		{"a directory that is no backup", full, into(), key, ErrNotBackup},
		{"a file that is no backup", filepath.Join(full, "x"), into(), key, ErrNotBackup},
		{"nothing", filepath.Join(full, "y"), into(), key, fs.ErrNotExist},
		{"a backup of another database, key of the same name", other, into(), key, ErrCorrupt},
	} {
		if _, err := Restore(t.Context(), c.src, c.dir, c.key, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(inTheWay+restoringEnd, "precious")); err != nil {
		t.Error(err)
	}
	leftover := into()
	if err := os.MkdirAll(filepath.Join(leftover+restoringEnd, "runs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(leftover+restoringEnd, restoringMarker), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), other, leftover, otherKey, nil); err != nil {
		t.Errorf("over what was interrupted: %v", err)
	}
}

// TestBackupRefuses (B6) lists what a backup says of destinations that do not fit.
func TestBackupRefuses(t *testing.T) {
	dir, dest, _ := soundBackup(t)
	otherDir, other, _ := soundBackup(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir, dest string
		want            error
	}{
		{"another database's backups", dir, other, ErrNotBackup},
		{"a directory of something else", dir, full, ErrNotBackup},
		{"a database", dir, otherDir, ErrNotBackup},
		{"its own directory", dir, dir, ErrOwnDirectory},
		{"below its own directory", dir, filepath.Join(dir, "runs", "b"), ErrOwnDirectory},
		{"no database", full, filepath.Join(t.TempDir(), "d"), ErrNotExist},
	} {
		if _, err := Backup(t.Context(), c.dir, c.dest, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	d := &destination{fs: (*BackupOptions)(nil).withDefaults().fs, dir: dest}
	info, err := Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := d.prepare(info.Database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, dest, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("two backups at once: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	// What somebody laid beside a backup is left alone.
	if err := os.WriteFile(filepath.Join(dest, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A damaged index: the new set is made, nothing is removed, and it is said.
	name := filepath.Join(dest, "sets", "00000001", backupIndex)
	if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Backup(t.Context(), dir, dest, &BackupOptions{Keep: 1})
	if !errors.Is(err, ErrCorrupt) || r.Set != 3 || len(r.Removed) != 0 {
		t.Errorf("beside a damaged index: %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dest, "notes.txt")); err != nil {
		t.Error(err)
	}
	sets, err := ListBackups(dest)
	if !errors.Is(err, ErrCorrupt) || len(sets) != 2 {
		t.Errorf("list: %+v, %v", sets, err)
	}
}

// TestUnpackedStream: what tar unpacks is a database, and a backup.
func TestUnpackedStream(t *testing.T) {
	dir, _, key := soundBackup(t)
	var out bytes.Buffer
	report, err := BackupStream(t.Context(), dir, &out, nil)
	if err != nil || report.Files == 0 || report.BytesCopied != report.Bytes {
		t.Fatal(report, err)
	}
	unpacked := t.TempDir()
	unpack(t, &out, unpacked)
	restored, _ := restoreTest(t, unpacked, key, nil)
	mustGet(t, restored, "c", "000099", strings.Repeat("9", 3000))
	names, err := filepath.Glob(filepath.Join(unpacked, "runs", "*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Restore(t.Context(), unpacked, filepath.Join(t.TempDir(), "r"), key, nil)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(names[0])) {
		t.Errorf("damaged: %v", err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(names[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	direct := openTest(t, unpacked, key, nil)
	mustGet(t, direct, "c", "000099", strings.Repeat("9", 3000))
}

// unpack does what tar -x does.
func unpack(t *testing.T, r io.Reader, dir string) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(head.Name))
		b, err := io.ReadAll(archive)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(name), 0o700)
		}
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBackupHoldsNoCustomerData looks for names and values in a destination.
func TestBackupHoldsNoCustomerData(t *testing.T) {
	key, dir, dest := newFakeKey("k"), filepath.Join(t.TempDir(), "m.byok"), filepath.Join(t.TempDir(), "dest")
	db := openTest(t, dir, key, smallRuns())
	const mark = "MARKER-7b1f"
	for range 60 {
		put(t, db, "c-"+mark, "k-"+mark, strings.Repeat(mark, 300))
	}
	if _, err := db.BackupTo(t.Context(), dest, nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(mark)) || strings.Contains(path, mark) {
			t.Errorf("%s holds the marker", path)
		}
		n += len(b)
		return err
	})
	if err != nil || n < 10_000 {
		t.Fatal(n, err)
	}
}

// TestBackupNames: only names that mean the same on every system are made.
func TestBackupNames(t *testing.T) {
	const root = "-000102030405060708090a0b0c0d0e0f"
	for name, want := range map[string]bool{
		"catalog.bolt": true, "wal/00000001.wal": true, "runs/00000031.run": true, "runs/123456789.run": true,
		"": false, "catalog.bolt/x": false, "wal/00000000.wal": false, "wal/1.wal": false, "runs/00000001.wal": false,
		"wal/00000001.wal.tmp": false, "wal/000000001.wal": false, "../wal/00000001.wal": false, "/catalog.bolt": false,
		`wal\00000001.wal`: false, "runs/0000000x.run": false, "runs/../../00000001.run": false,
		"runs/99999999999999999999.run": false, "CATALOG.BOLT": false, "byokdb-restoring": false,
	} {
		if got := isPart(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
	for name, want := range map[string]bool{
		"00000031" + root + ".run": true, "123456789" + root + ".run": true,
		"31" + root + ".run": false, "00000031" + root: false, "00000031" + root + ".run.tmp": false,
		"00000031" + strings.ToUpper(root) + ".run": false, "00000031-0001.run": false, "00000031" + root + "00.run": false,
		"../00000031" + root + ".run": false, "": false,
	} {
		if got := isPoolName(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

// FuzzIndex: no index and no marker makes parsing fail otherwise than with an
// error, and what is accepted encodes to the same bytes.
func FuzzIndex(f *testing.F) {
	src := &backupSource{generation: 7}
	x := newIndex(src, 3)
	x.Files = []indexFile{{Name: "catalog.bolt", Size: 1, SHA256: "00"}, {Name: "runs/00000001.run", Size: 2, Pool: (&backupPart{id: 1}).poolName()}}
	b, err := x.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	m, err := newMarker(crypt.ID{1}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m)
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := parseIndex(b, "fuzz"); err == nil {
			for _, file := range x.Files {
				if !isPart(file.Name) || filepath.IsAbs(file.Name) || strings.Contains(file.Name, "..") {
					t.Errorf("accepted %q", file.Name)
				}
			}
		}
		if m, err := parseMarker(b, "fuzz"); err == nil {
			again, err := m.marshal()
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%q is accepted as %q", b, again)
			}
		}
	})
}
