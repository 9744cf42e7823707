package formatreader

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bberrors "go.etcd.io/bbolt/errors"
)

// catalog is what the catalog says, once everything in it has been checked.
type catalog struct {
	id            [16]byte
	kekID, policy []byte
	deks          map[uint32][]byte // by epoch
	manifest      manifest
}

// manifest is the opened manifest, FORMAT.md §3.
type manifest struct {
	generation, commit     uint64
	floorSegment, floorSeq uint64
	floorTag               [16]byte
	nextRun                uint64
	nextCollection         uint32
	runs                   []Run
	names                  map[uint32]string
}

// readCatalog reads the catalog at path: buckets, records, keys, manifest, in this order.
func readCatalog(path string, kek developmentKey) (*catalog, error) {
	buckets, err := readBuckets(path)
	if err != nil {
		return nil, err
	}
	main := buckets["byokdb"]
	if len(main) == 0 {
		return nil, fmt.Errorf("no record: %w", ErrNotDatabase)
	}
	for key := range main {
		if !slices.Contains([]string{"clear", "guard", "manifest", "tombstone"}, key) {
			return nil, damaged("unknown record")
		}
	}
	if main["clear"] == nil || main["guard"] == nil {
		return nil, damaged("clear or guard record is missing")
	}
	c := &catalog{deks: map[uint32][]byte{}}
	if err := c.readClear(main["clear"]); err != nil {
		return nil, err
	}
	if err := checkGuard(main["guard"]); err != nil {
		return nil, err
	}
	if err := checkJournal(buckets["journal"]); err != nil {
		return nil, err
	}
	if t := main["tombstone"]; t != nil {
		in := input{b: t}
		in.take(3 * 8)
		reason := in.bytes()
		in.bytes()
		in.bytes()
		if err := in.done("tombstone"); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", reason, ErrErased)
	}
	if main["guard"][1] == 3 { // C12
		return nil, damaged("the guard record says erased, and there is no tombstone")
	}
	if main["manifest"] == nil || len(buckets["envelopes"]) == 0 {
		return nil, damaged("manifest or envelopes are missing")
	}
	if id := fmt.Sprintf("local:%x", kek.fingerprint); string(c.kekID) != id {
		return nil, fmt.Errorf("the database belongs to %s, the key file is %s: %w", c.kekID, id, ErrWrongKey)
	}
	for key, value := range buckets["envelopes"] {
		if len(value) == 0 && len(key) == 4 { // C22
			continue
		}
		if err := c.readEnvelope([]byte(key), value, kek); err != nil {
			return nil, err
		}
	}
	if len(c.deks) == 0 {
		return nil, damaged("no envelope")
	}
	return c, c.readManifest(main["manifest"])
}

// readBuckets returns all records by bucket and key, without their checksums (C1).
func readBuckets(path string) (map[string]map[string][]byte, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrNotDatabase)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bberrors.ErrInvalid) {
		return nil, fmt.Errorf("no bbolt file: %w", ErrNotDatabase)
	} else if err != nil {
		return nil, err
	}
	buckets := map[string]map[string][]byte{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
			if !slices.Contains([]string{"byokdb", "envelopes", "journal"}, string(bucket)) {
				return fmt.Errorf("another bucket: %w", ErrNotDatabase)
			}
			records := map[string][]byte{}
			buckets[string(bucket)] = records
			return b.ForEach(func(k, v []byte) error {
				n := len(v) - 4
				if n < 0 || !bytes.Equal(v[n:], be32(checksum(bucket, []byte{0}, k, []byte{0}, v[:n]))) {
					return damaged("checksum of a record in %s", bucket)
				}
				records[string(k)] = bytes.Clone(v[:n])
				return nil
			})
		})
	})
	return buckets, errors.Join(err, db.Close())
}

func (c *catalog) readClear(b []byte) error {
	in := input{b: b}
	if version, features := in.u16(), in.u32(); !in.short && (version > 1 || features != 0) {
		return tooNew("version %d of the directory, features %#x", version, features)
	} else if version == 0 {
		return damaged("version of the directory")
	}
	in.u32() // features that a reader may ignore
	c.id = [16]byte(in.take(16))
	in.u64()
	development := in.u8()
	c.kekID = in.bytes()
	in.bytes() // URI
	c.policy = in.bytes()
	if err := in.done("clear record"); err != nil {
		return err
	}
	if development > 1 {
		return damaged("development flag")
	}
	return checkPolicy(c.policy)
}

func checkPolicy(b []byte) error {
	in := input{b: b}
	if v := in.u8(); v > 1 {
		return tooNew("policy version %d", v)
	} else if v == 0 {
		return damaged("policy version")
	}
	for _, limit := range [][2]time.Duration{
		{10 * time.Millisecond, 24 * time.Hour},
		{10 * time.Millisecond, 10 * time.Minute},
		{time.Second, 30 * 24 * time.Hour},
		{0, time.Hour},
	} {
		if v := time.Duration(in.u64()); v < limit[0] || v > limit[1] {
			return damaged("a time of the policy")
		}
	}
	if in.u8() > 1 {
		return damaged("what to do on the deadline")
	}
	return in.done("policy")
}

func checkGuard(b []byte) error {
	in := input{b: b}
	if v := in.u8(); v > 1 {
		return tooNew("guard record version %d", v)
	} else if v == 0 {
		return damaged("guard record version")
	}
	if in.u8() > 3 || in.u8() > 4 {
		return damaged("state or class of the guard record")
	}
	in.take(5 * 8)
	if len(in.brief()) > 512 || len(in.brief()) > 256 || len(in.brief()) > 256 {
		return damaged("texts of the guard record")
	}
	return in.done("guard record")
}

// checkJournal follows the chain of hashes (C11).
func checkJournal(entries map[string][]byte) error {
	last := make([]byte, 32)
	for i := range len(entries) {
		e := entries[string(be64(uint64(i+1)))]
		if len(e) < 32 {
			return damaged("journal entry %d", i+1)
		}
		sum := sha256.Sum256(slices.Concat([]byte("byokdb journal v1"), be64(uint64(i+1)), last, e[32:]))
		if last = sum[:]; !bytes.Equal(last, e[:32]) {
			return damaged("hash of journal entry %d", i+1)
		}
	}
	return nil
}

func (c *catalog) readEnvelope(key, b []byte, kek developmentKey) error {
	in := input{b: b}
	if v := in.u8(); v > 1 {
		return tooNew("envelope version %d", v)
	} else if v == 0 {
		return damaged("envelope version")
	}
	id, epoch := in.take(16), in.u32()
	in.u64()
	salt, check := in.take(32), in.take(32)
	kekID, material, wrapped := in.brief(), in.brief(), in.brief()
	if err := in.done("envelope"); err != nil {
		return err
	}
	if epoch == 0 || !bytes.Equal(key, be32(epoch)) || !bytes.Equal(id, c.id[:]) || !bytes.Equal(kekID, c.kekID) {
		return damaged("envelope of another epoch, database or KEK")
	}
	if len(kekID) < 1 || len(kekID) > 2048 || len(material) > 256 || len(wrapped) < 1 || len(wrapped) > 6144 {
		return damaged("lengths in the envelope of epoch %d", epoch)
	}
	dek, err := kek.unwrap(wrapped, c.id, epoch)
	if err != nil {
		return err
	}
	if _, got := derive(dek, salt, kindCheck, slices.Concat(id, be32(epoch), salt)); !bytes.Equal(got, check) {
		return damaged("check value of epoch %d", epoch)
	}
	c.deks[epoch] = dek
	return nil
}

func (c *catalog) readManifest(b []byte) error {
	if len(b) < 106+overhead || string(b[:8]) != "BYOKMAN\x00" || !endsWithChecksum(b[:106]) {
		return damaged("header of the manifest")
	}
	header := input{b: b[8:]}
	if v := header.u16(); v > 1 {
		return tooNew("manifest version %d", v)
	} else if v == 0 {
		return damaged("manifest version")
	}
	if !bytes.Equal(header.take(16), c.id[:]) {
		return damaged("manifest of another database")
	}
	epoch, generation := header.u32(), header.u64()
	dek := c.deks[epoch]
	if dek == nil {
		return damaged("no envelope for the manifest's epoch %d", epoch)
	}
	key, commitment := derive(dek, b[38:70], kindManifest, b[:70])
	if !bytes.Equal(commitment, b[70:102]) {
		return fmt.Errorf("manifest: %w", ErrWrongKey)
	}
	plain, err := openSealed(key, b[106:], generation, 1)
	if err != nil {
		return err
	}
	in := input{b: plain}
	m := &c.manifest
	if m.generation = in.u64(); m.generation != generation {
		return damaged("generation of the manifest")
	}
	m.commit, m.floorSegment, m.floorSeq = in.u64(), in.u64(), in.u64()
	m.floorTag = [16]byte(in.take(16))
	m.nextRun, m.nextCollection = in.u64(), in.u32()
	if !bytes.Equal(in.bytes(), c.kekID) || !bytes.Equal(in.bytes(), c.policy) {
		return damaged("KEK id or policy was edited")
	}
	for range in.u32() {
		if in.short {
			break
		}
		r := Run{Number: in.u64(), Level: in.u8(), Epoch: in.u32(), Size: in.u64()}
		r.Entries, r.Tombstones, r.KeyBytes, r.ValueBytes = in.u64(), in.u64(), in.u64(), in.u64()
		r.Root = [16]byte(in.take(16))
		r.First, r.Last = in.bytes(), in.bytes()
		m.runs = append(m.runs, r)
	}
	m.names = map[uint32]string{}
	n := in.u32()
	for range n {
		if in.short {
			break
		}
		id := in.u32()
		m.names[id] = string(in.bytes())
	}
	if err := in.done("manifest"); err != nil {
		return err
	}
	return m.check(int(n))
}

// check keeps C16; n is how many collections were listed.
func (m *manifest) check(n int) error {
	seen := map[string]bool{}
	for id, name := range m.names {
		if id == 0 || id >= m.nextCollection || name == "" || seen[name] {
			return damaged("collections of the manifest")
		}
		seen[name] = true
	}
	if len(m.names) != n {
		return damaged("a collection is listed twice")
	}
	for i, r := range m.runs {
		if r.Number == 0 || r.Number >= m.nextRun || r.Level > 6 || r.Epoch == 0 || r.Size == 0 ||
			len(r.First) < 4 || len(r.Last) < 4 || bytes.Compare(r.First, r.Last) > 0 {
			return damaged("run %d in the manifest", r.Number)
		}
		for _, o := range m.runs[:i] {
			overlap := bytes.Compare(r.First, o.Last) <= 0 && bytes.Compare(o.First, r.Last) <= 0
			if r.Number == o.Number || r.Level > 0 && r.Level == o.Level && overlap {
				return damaged("runs %d and %d in the manifest", o.Number, r.Number)
			}
		}
	}
	if (m.floorSegment == 0) != (m.floorSeq == 0) || m.floorSeq <= 1 && !allZero(m.floorTag[:]) {
		return damaged("floor of the log")
	}
	return nil
}
