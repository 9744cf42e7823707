// Package layers knows which package of the module may import which.
package layers

import (
	"fmt"
	"slices"
	"strings"
)

// Package is one package of the module and what it imports directly, its
// tests' imports included.
type Package struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// order is the direction of imports, from the top down: a package imports
// only from its own layer and from the ones after it.
var order = []string{"top", "sql", "engine", "pager", "crypt", "internal"}

// members are the top-level directories of each layer that is not named as
// its directory.
var members = map[string]string{"cmd": "top", "bench": "top"}

// dataOnly is the directory of packages that any layer may import and that
// import nothing of the module themselves.
const dataOnly = "testdata"

// layerOf returns the index in order of a package, and false when it belongs
// to none.
func layerOf(module, path string) (int, bool) {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	dir, _, _ := strings.Cut(rest, "/")
	if m, ok := members[dir]; ok {
		dir = m
	}
	if dir == dataOnly {
		dir = "internal"
	}
	i := slices.Index(order, dir)
	return i, i >= 0
}

// helper reports whether path is a development helper that lives below
// internal but stands on other layers, such as a KMS server for tests. Only
// the top layer and tests may import it.
func helper(module, path string) bool {
	for _, h := range []string{"internal/devkms", "internal/formatreader", "internal/memtest", "internal/testkit", "internal/torture"} {
		p := module + "/" + h
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// Check returns one sentence for each import that points the wrong way, and
// for each package that belongs to no layer. Tests of a package may import
// helpers, and follow the direction otherwise.
func Check(module string, pkgs []Package) []string {
	var faults []string
	for _, p := range pkgs {
		from, ok := layerOf(module, p.ImportPath)
		if !ok {
			faults = append(faults, fmt.Sprintf("%s belongs to no layer", p.ImportPath))
			continue
		}
		tests := append(slices.Clone(p.TestImports), p.XTestImports...)
		for i, imp := range append(slices.Clone(p.Imports), tests...) {
			inTest := i >= len(p.Imports)
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			to, ok := layerOf(module, imp)
			switch {
			case !ok:
				faults = append(faults, fmt.Sprintf("%s imports %s, which belongs to no layer", p.ImportPath, imp))
			case helper(module, imp):
				if !inTest && order[from] != "top" && !helper(module, p.ImportPath) {
					faults = append(faults, fmt.Sprintf("%s imports %s outside its tests", p.ImportPath, imp))
				}
			case helper(module, p.ImportPath):
				if order[to] == "top" {
					faults = append(faults, fmt.Sprintf("%s imports %s, which is above it", p.ImportPath, imp))
				}
			case to < from:
				faults = append(faults, fmt.Sprintf("%s (%s) imports %s (%s), which is above it",
					p.ImportPath, order[from], imp, order[to]))
			}
		}
	}
	return faults
}
