package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/byokdb/byokdb"

func TestImportsPointOneWay(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []Package
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p Package
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found %d packages: the check would check nothing", len(pkgs))
	}
	for _, fault := range Check(module, pkgs) {
		t.Error(fault)
	}
}

func TestCheckFindsViolations(t *testing.T) {
	tests := []struct {
		name     string
		pkg      Package
		nFaults  int
		contains string
	}{
		{"down", Package{ImportPath: module + "/engine", Imports: []string{module + "/crypt", "os"}}, 0, ""},
		{"same layer", Package{ImportPath: module + "/sql", Imports: []string{module + "/sql/parse"}}, 0, ""},
		{"up", Package{ImportPath: module + "/crypt/guard", Imports: []string{module + "/engine"}}, 1, "above"},
		{"up from internal", Package{ImportPath: module + "/internal/vfs", Imports: []string{module + "/crypt"}}, 1, "above"},
		{"up in a test", Package{ImportPath: module + "/pager", XTestImports: []string{module + "/sql"}}, 1, "above"},
		{"cmd from sql", Package{ImportPath: module + "/sql", Imports: []string{module + "/cmd/byokdb"}}, 1, "above"},
		{"no layer", Package{ImportPath: module + "/util"}, 1, "no layer"},
		{"imports no layer", Package{ImportPath: module + "/sql", Imports: []string{module + "/util"}}, 1, "no layer"},
		{"helper in a test", Package{ImportPath: module + "/crypt/awskms", TestImports: []string{module + "/internal/devkms"}}, 0, ""},
		{"helper in code", Package{ImportPath: module + "/crypt/awskms", Imports: []string{module + "/internal/devkms"}}, 1, "outside its tests"},
		{"helper in cmd", Package{ImportPath: module + "/cmd/byokdb", Imports: []string{module + "/internal/devkms"}}, 0, ""},
		{"another module with the same beginning", Package{ImportPath: module + "/crypt", Imports: []string{module + "x/engine"}}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			faults := Check(module, []Package{tt.pkg})
			if len(faults) != tt.nFaults {
				t.Fatalf("faults = %q, want %d", faults, tt.nFaults)
			}
			if tt.nFaults > 0 && !strings.Contains(faults[0], tt.contains) {
				t.Errorf("fault %q does not say %q", faults[0], tt.contains)
			}
		})
	}
}
