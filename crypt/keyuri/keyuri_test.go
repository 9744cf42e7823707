package keyuri_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
)

const testARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

const testMRK = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"

func TestOpen(t *testing.T) {
	local := "local:" + filepath.ToSlash(filepath.Join(t.TempDir(), "dev.key"))
	tests := []struct {
		uri, keyID  string
		development bool
	}{
		{"awskms:" + testARN + "?endpoint=http://127.0.0.1:1", testARN, true},
		{"awskms:" + testARN, testARN, false},
		{"awskms:" + testMRK + "?replica=" + strings.Replace(testMRK, "eu-west-1", "us-east-1", 1), testMRK, false},
		{local, "local:", true},
	}
	t.Setenv("AWS_PROFILE", "")
	for _, tt := range tests {
		p, err := keyuri.Open(t.Context(), tt.uri)
		if err != nil {
			t.Fatal(err)
		}
		if p.KeyID() != tt.keyID || p.Development() != tt.development {
			t.Errorf("%s: KeyID %s, Development %v", tt.uri, p.KeyID(), p.Development())
		}
		again, err := keyuri.Open(t.Context(), p.URI())
		if err != nil || again.URI() != p.URI() {
			t.Errorf("%s: opened again: %v", p.URI(), err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct{ uri, err string }{
		{"", "empty"},
		{"dev.key", "no scheme"},
		{":x", "no scheme"},
		{"/a:b", "no scheme"},
		{"LOCAL:dev.key", "no scheme"},
		{"vault:transit/orders", `unknown scheme "vault" in the key URI; write awskms:KEY-ARN or local:PATH`},
		{testARN, "write awskms: before it"},
		{"local:", "names a file"},
		{"local:dev.key?mode=0644", "unknown parameter"},
		{"awskms:alias/orders", "alias"},
		{"awskms:" + testARN + "?insecure=1", "unknown parameter"},
		{"awskms:" + testARN + "?replica=" + testMRK, "no multi-Region key"},
		{"awskms:" + testARN + "?secret_key=hunter2", "looks like a secret"},
	}
	for _, tt := range tests {
		p, err := keyuri.Open(t.Context(), tt.uri)
		if p != nil || err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, %v, want an error with %q", tt.uri, p, err, tt.err)
		}
	}
}
