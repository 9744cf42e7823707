package devkms

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// regions serves one process to clients of two regions.
func regions(t *testing.T, dir string) (s *Server, eu, us *kms.Client) {
	t.Helper()
	s, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	t.Cleanup(hs.Close)
	o := client(hs.URL).Options()
	o.Region = "us-east-1"
	return s, client(hs.URL), kms.New(o)
}

func TestRegions(t *testing.T) {
	s, eu, us := regions(t, "")
	key := newKey(t, s)
	out, err := us.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	there := out.KeyMetadata.Arn
	if !strings.HasPrefix(*there, "arn:aws:kms:us-east-1:") {
		t.Errorf("made in us-east-1: %s", *there)
	}
	wantCode(t, describe(t, us, key), "NotFoundException")
	wantCode(t, describe(t, eu, there), "NotFoundException")
	if err := describe(t, us, there); err != nil {
		t.Error(err)
	}
	wantCode(t, describe(t, eu, aws.String(strings.Replace(*key, Account, "999999999999", 1))), "NotFoundException")
	wantCode(t, describe(t, eu, aws.String("arn:aws:s3:::x")), "InvalidArnException")
	// Aliases are each region's own.
	alias := aws.String("alias/orders")
	for c, k := range map[*kms.Client]*string{eu: key, us: there} {
		if _, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: k}); err != nil {
			t.Fatal(err)
		}
	}
	for c, k := range map[*kms.Client]*string{eu: key, us: there} {
		got, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias})
		if err != nil || *got.KeyMetadata.Arn != *k {
			t.Errorf("alias of %s: %v", *k, err)
		}
		list, err := c.ListAliases(t.Context(), &kms.ListAliasesInput{})
		if err != nil || len(list.Aliases) != 1 || *list.Aliases[0].TargetKeyId != (*k)[strings.LastIndex(*k, "/")+1:] {
			t.Errorf("aliases beside %s: %+v, %v", *k, list, err)
		}
	}
}

func TestReplicas(t *testing.T) {
	dir := t.TempDir()
	s, eu, us := regions(t, dir)
	plain := newKey(t, s)
	primary, err := s.CreateMultiRegionKey()
	if err != nil {
		t.Fatal(err)
	}
	replicate := func(c *kms.Client, key, region string) (*types.KeyMetadata, error) {
		out, err := c.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: &region})
		if err != nil {
			return nil, err
		}
		return out.ReplicaKeyMetadata, nil
	}
	m, err := replicate(eu, primary, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	replica := *m.Arn
	if replica != strings.Replace(primary, Region, "us-east-1", 1) || m.MultiRegionConfiguration.MultiRegionKeyType != types.MultiRegionKeyTypeReplica ||
		*m.MultiRegionConfiguration.PrimaryKey.Arn != primary || len(m.MultiRegionConfiguration.ReplicaKeys) != 1 ||
		*m.MultiRegionConfiguration.ReplicaKeys[0].Region != "us-east-1" {
		t.Errorf("replica %s: %+v", replica, m.MultiRegionConfiguration)
	}
	for _, bad := range []struct {
		c                 *kms.Client
		key, region, code string
	}{
		{eu, primary, "us-east-1", "AlreadyExistsException"},
		{eu, primary, Region, "AlreadyExistsException"},
		{eu, primary, "nowhere", "ValidationException"},
		{eu, *plain, "us-east-1", "UnsupportedOperationException"},
		{us, replica, "ap-south-1", "UnsupportedOperationException"},
		{us, primary, "ap-south-1", "NotFoundException"},
	} {
		_, err := replicate(bad.c, bad.key, bad.region)
		wantCode(t, err, bad.code)
	}

	// One material, states and policies of their own.
	enc, err := eu.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &primary, Plaintext: []byte("plain")})
	if err != nil {
		t.Fatal(err)
	}
	decrypt := func(c *kms.Client, key *string) (*kms.DecryptOutput, error) {
		return c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, KeyId: key})
	}
	for c, want := range map[*kms.Client]string{eu: primary, us: replica} {
		for _, key := range []*string{nil, &want} {
			if out, err := decrypt(c, key); err != nil || *out.KeyId != want || string(out.Plaintext) != "plain" {
				t.Errorf("decrypt by %s: %v", want, err)
			}
		}
	}
	if _, err := eu.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &primary}); err != nil {
		t.Fatal(err)
	}
	_, err = decrypt(eu, &primary)
	wantCode(t, err, "DisabledException")
	if _, err := decrypt(us, &replica); err != nil {
		t.Errorf("the replica of a disabled primary: %v", err)
	}
	if _, err := eu.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &primary}); err != nil {
		t.Fatal(err)
	}
	if _, err := us.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &replica}); err != nil {
		t.Fatal(err)
	}
	_, err = decrypt(us, &replica)
	wantCode(t, err, "DisabledException")
	if _, err := us.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &replica}); err != nil {
		t.Fatal(err)
	}

	// Rotation is the primary's, and reaches the replica; a restart forgets nothing.
	_, err = us.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &replica})
	wantCode(t, err, "UnsupportedOperationException")
	if _, err := eu.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &primary}); err != nil {
		t.Fatal(err)
	}
	_, eu, us = regions(t, dir)
	if enc, err = eu.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &primary, Plaintext: []byte("plain")}); err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(us, &replica); err != nil {
		t.Errorf("the replica after a rotation and a restart: %v", err)
	}
}

func TestDeletionOfPrimary(t *testing.T) {
	s, eu, us := regions(t, "")
	fc := &fakeClock{now: time.Unix(1e9, 0)}
	s.clock = fc
	primary, err := s.CreateMultiRegionKey()
	if err != nil {
		t.Fatal(err)
	}
	replica, err := s.ReplicateKey(primary, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	state := func() types.KeyState {
		t.Helper()
		out, err := eu.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &primary})
		if err != nil {
			t.Fatal(err)
		}
		return out.KeyMetadata.KeyState
	}
	week := aws.Int32(7)
	out, err := eu.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &primary, PendingWindowInDays: week})
	if err != nil || out.KeyState != types.KeyStatePendingReplicaDeletion || out.DeletionDate != nil {
		t.Fatalf("with a replica: %+v, %v", out, err)
	}
	wantCode(t, generate(t, eu, &primary), "KMSInvalidStateException")
	if err := generate(t, us, &replica); err != nil {
		t.Errorf("the replica goes on: %v", err)
	}
	if _, err := us.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &replica, PendingWindowInDays: week}); err != nil {
		t.Fatal(err)
	}
	fc.advance(7 * 24 * time.Hour)
	if got := state(); got != types.KeyStatePendingDeletion {
		t.Errorf("once the replica is gone: %s", got)
	}
	fc.advance(7 * 24 * time.Hour)
	wantCode(t, describe(t, eu, &primary), "NotFoundException")
	if keys := s.Keys(); len(keys) != 0 {
		t.Errorf("left: %v", keys)
	}
}

// Answers name the material that served: of Decrypt and of ReEncrypt's source the
// one that the ciphertext is under, else the newest.
func TestMaterialIDs(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	current := func() string {
		t.Helper()
		out, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
		if err != nil {
			t.Fatal(err)
		}
		return *out.KeyMetadata.CurrentKeyMaterialId
	}
	var ids []string
	var blobs [][]byte
	for i := range 1 + rotationsMax {
		if i > 0 {
			if _, err := c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256})
		if err != nil {
			t.Fatal(err)
		}
		id := *out.KeyMaterialId
		if id != current() || slices.Contains(ids, id) || len(id) != 64 {
			t.Errorf("rotation %d: generated under %s, current is %s", i, id, current())
		}
		ids, blobs = append(ids, id), append(blobs, out.CiphertextBlob)
	}
	_, err := c.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: key})
	wantCode(t, err, "LimitExceededException")
	for i, blob := range blobs {
		dec, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: key})
		if err != nil || *dec.KeyMaterialId != ids[i] {
			t.Errorf("blob %d: decrypted, it says, under %s: %v", i, aws.ToString(dec.KeyMaterialId), err)
		}
		re, err := c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: blob, SourceKeyId: key, DestinationKeyId: key})
		if err != nil || *re.SourceKeyMaterialId != ids[i] || *re.DestinationKeyMaterialId != ids[len(ids)-1] {
			t.Errorf("blob %d: re-encrypted %+v, %v", i, re, err)
			continue
		}
		if dec, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: re.CiphertextBlob}); err != nil || *dec.KeyMaterialId != ids[len(ids)-1] {
			t.Errorf("blob %d, re-encrypted: %v", i, err)
		}
	}
}

// A policy can shut out one encryption context, or one operation.
func TestPolicyOnContext(t *testing.T) {
	s, c := serve(t, "")
	key := newKey(t, s)
	policy := aws.String(`{"Statement":[
		{"Effect":"Allow","Action":"kms:*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},
		{"Effect":"Deny","Action":["kms:Decrypt","kms:GenerateDataKey*"],"Condition":{"StringEquals":{"kms:EncryptionContext:db":["one","two"],"kms:EncryptionContext:use":"data"}}}]}`)
	if _, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: policy}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		db, use string
		denied  bool
	}{{"one", "data", true}, {"two", "data", true}, {"three", "data", false}, {"one", "other", false}, {"one", "", false}, {"", "", false}} {
		context := map[string]string{}
		for name, value := range map[string]string{"db": tt.db, "use": tt.use} {
			if value != "" {
				context[name] = value
			}
		}
		_, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, KeySpec: types.DataKeySpecAes256, EncryptionContext: context})
		if tt.denied {
			wantCode(t, err, "AccessDeniedException")
		} else if err != nil {
			t.Errorf("%v: %v", context, err)
		}
		enc, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x"), EncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReEncrypt(t.Context(), &kms.ReEncryptInput{
			CiphertextBlob: enc.CiphertextBlob, SourceKeyId: key, SourceEncryptionContext: context, DestinationKeyId: key,
		}); err != nil {
			t.Errorf("re-encrypt, which is not denied: %v", err)
		}
		_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: enc.CiphertextBlob, EncryptionContext: context})
		if code(err) == "AccessDeniedException" != tt.denied {
			t.Errorf("decrypt with %v: %v", context, err)
		}
	}
	for _, bad := range []string{
		`{"StringNotEquals":{"kms:EncryptionContext:db":"one"}}`, `{"StringEquals":{"aws:PrincipalArn":"x"}}`,
	} {
		text := `{"Statement":[{"Effect":"Deny","Action":"kms:Decrypt","Condition":` + bad + `}]}`
		_, err := c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &text})
		wantCode(t, err, "MalformedPolicyDocumentException")
	}
}
