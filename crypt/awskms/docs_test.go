package awskms

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
)

const docsDir = "../../docs"

// The policies that users copy must be JSON, open to nobody in general, and
// name the encryption context as the provider sends it.
func TestPublishedPolicies(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(docsDir, "kms", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no policies found: %v", err)
	}
	page, err := os.ReadFile(filepath.Join(docsDir, "kms.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.Unmarshal(b, &doc); err != nil {
				t.Fatal(err)
			}
			walk(t, "", doc)
			if !strings.Contains(string(page), "(kms/"+filepath.Base(path)+")") {
				t.Error("docs/kms.md does not mention it")
			}
		})
	}
	names := map[string]bool{}
	for name := range testContext.Map() {
		names[name] = true
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/kms.md does not name %s", name)
		}
	}
	if !names[crypt.ContextDatabase] {
		t.Error("the context does not name the database")
	}
	if n := strings.Count(string(page), "\n"); n > 150 {
		t.Errorf("docs/kms.md has %d lines, want 150 at most", n)
	}
}

// walk looks at every member of a document.
func walk(t *testing.T, name string, v any) {
	t.Helper()
	const prefix = "kms:EncryptionContext:"
	context := testContext.Map()
	switch v := v.(type) {
	case map[string]any:
		if name == "EncryptionContextSubset" {
			for member := range v {
				if _, ok := context[member]; !ok {
					t.Errorf("unknown member %s of the encryption context", member)
				}
			}
		}
		for member, value := range v {
			if key, ok := strings.CutPrefix(member, prefix); ok {
				if _, known := context[key]; !known {
					t.Errorf("unknown member %s of the encryption context", key)
				}
			}
			if name == "Principal" || member == "Principal" || member == "GranteePrincipal" {
				wantNoWildcard(t, value)
			}
			walk(t, member, value)
		}
	case []any:
		for _, value := range v {
			walk(t, name, value)
		}
	}
}

func wantNoWildcard(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "*") {
			t.Errorf("principal %s", v)
		}
	case []any:
		for _, one := range v {
			wantNoWildcard(t, one)
		}
	}
}
