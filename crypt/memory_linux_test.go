package crypt

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/byokdb/byokdb/internal/procmem"
	"github.com/byokdb/byokdb/internal/scrub"
)

// child runs the named test in a process of its own, with more environment.
func child(t *testing.T, run string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return string(out)
}

// TestFIPSOnly runs this package's tests with everything refused that FIPS 140-3
// does not approve.
func TestFIPSOnly(t *testing.T) {
	out := child(t, "^(TestDerivation|TestOpen|TestSeal|TestEnvelope|TestKeyRing|TestSecretLife|TestWiped)", "GODEBUG=fips140=only")
	if n := strings.Count(out, "--- PASS"); n < 9 {
		t.Errorf("only %d tests ran:\n%s", n, out)
	}
}

// TestNoKeyIsLeft looks for the DEK and for a file's key schedule in the memory
// of a process of its own.
func TestNoKeyIsLeft(t *testing.T) {
	const env = "BYOKDB_TEST_MEMORY"
	if os.Getenv(env) == "" {
		if out := child(t, "^TestNoKeyIsLeft$", env+"=1"); !strings.Contains(out, "searched") {
			t.Errorf("the child searched nothing:\n%s", out)
		} else {
			t.Log(out)
		}
		return
	}
	dek, err := RandomSecret()
	if err != nil {
		t.Fatal(err)
	}
	var needles []procmem.Masked
	_ = dek.Use(func(b []byte) error {
		needles = append(needles, procmem.Mask(b))
		return nil
	})
	r := NewKeyRing()
	r.Add(1, dek)
	k, _, err := r.Create(1, KindRun, NewSalt(), []byte("header"))
	if err != nil {
		t.Fatal(err)
	}
	schedule := scheduleOf(t, k)
	needles = append(needles, schedule...)
	before := find(t, needles)
	for i, n := range before[1:] {
		if n == 0 {
			t.Errorf("part %d of the key schedule is not found while in use: the search is blind", i)
		}
	}
	k.Wipe()
	for i, n := range find(t, needles)[1:] {
		if n != 0 {
			t.Errorf("part %d of the key schedule is left %d times after Wipe", i, n)
		}
	}
	r.Wipe()
	derived := find(t, needles[:1])[0]
	if err := scrub.Heap(); err != nil {
		t.Fatal(err)
	}
	after := find(t, needles)
	t.Logf("searched: DEK in %s memory, seen %d times, %d after the wipe, %d after the scrub", dek.Memory(), before[0], derived, after[0])
	for i, n := range after {
		if n != 0 {
			t.Errorf("needle %d is left %d times", i, n)
		}
	}
}

func find(t *testing.T, needles []procmem.Masked) []int {
	t.Helper()
	n, err := procmem.Count(needles...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// scheduleOf returns the parts of the GCM object's memory that look random: the
// round keys, the first of which are the key itself, and the hash's table.
func scheduleOf(t *testing.T, k *FileKey) (parts []procmem.Masked) {
	t.Helper()
	gcm := reflect.ValueOf(k.aead).Field(0).Elem()
	b := unsafe.Slice((*byte)(gcm.Addr().UnsafePointer()), gcm.Type().Size())
	for ; len(b) >= 32; b = b[32:] {
		distinct := map[byte]bool{}
		for _, c := range b[:32] {
			distinct[c] = true
		}
		if len(distinct) > 16 {
			parts = append(parts, procmem.Mask(b[:32]))
		}
	}
	if len(parts) < 15 { // 15 round keys of 16 B, twice, and 256 B of table
		t.Fatalf("only %d parts in %d B: the standard library changed its shape", len(parts), gcm.Type().Size())
	}
	return []procmem.Masked{parts[0], parts[1], parts[7], parts[len(parts)-1]}
}

func TestSecretMemory(t *testing.T) {
	fd, err := unix.MemfdSecret(unix.O_CLOEXEC)
	want := "memfd_secret"
	if err != nil {
		t.Logf("no memfd_secret here: %v", err)
		want = "locked"
	} else {
		_ = unix.Close(fd)
	}
	s := testSecret(t, 0)
	if got := s.Memory(); got != want && got != "plain" || want == "memfd_secret" && got != want {
		t.Errorf("secret is in %s memory, want %s", got, want)
	}
}
