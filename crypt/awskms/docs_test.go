package awskms

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/byokdb/byokdb/crypt"
)

// This file holds docs/kms.md and the files in docs/kms to the code: what
// customers copy is judged, and what the page says of numbers and names is
// compared with what the program does.

const (
	docsDir      = "../../docs"
	pageLinesMax = 350
)

// publishedFiles are the files in docs/kms, each with how it is judged.
var publishedFiles = map[string]func(doc any) []string{
	"key-policy.json":            lintAs(keyPolicy),
	"key-policy-grant.json":      lintAs(keyPolicy),
	"key-policy-replica.json":    lintAs(keyPolicy),
	"deny-database.json":         lintAs(keyPolicy),
	"deny-outside-endpoint.json": lintAs(keyPolicy),
	"role-trust-policy.json":     lintAs(trustPolicy),
	"vendor-assume-role.json":    lintAs(identityPolicy),
	"vendor-use-grant.json":      lintAs(identityPolicy),
	"revoke-sessions.json":       lintAs(identityPolicy),
	"grant.json":                 lintGrant,
	"watch-rule.json":            lintAccounts,
	"event-decrypt.json":         lintAccounts,
	"unexpected-use.sql":         nil, // TestQueryNamesWhatIsSent
}

func lintAs(kind policyKind) func(any) []string {
	return func(doc any) []string {
		_, faults := lintPolicy(kind, doc)
		return faults
	}
}

// lintFile judges the text of a published file by its name.
func lintFile(name, text string) []string {
	doc, err := decodeOnce(text)
	if err != nil {
		return []string{err.Error()}
	}
	return publishedFiles[name](doc)
}

func readPublished(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(docsDir, "kms", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parsePublished returns a published file as JSON.
func parsePublished(t *testing.T, name string) any {
	t.Helper()
	doc, err := decodeOnce(readPublished(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

func readPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(docsDir, "kms.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPublishedFiles(t *testing.T) {
	page := readPage(t)
	entries, err := os.ReadDir(filepath.Join(docsDir, "kms"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		name := e.Name()
		found = append(found, name)
		judge, known := publishedFiles[name]
		if !known {
			t.Errorf("docs/kms/%s is not known here: say how it is judged", name)
			continue
		}
		if !strings.Contains(page, "(kms/"+name+")") {
			t.Errorf("docs/kms.md does not mention %s", name)
		}
		if judge == nil {
			continue
		}
		for _, fault := range lintFile(name, readPublished(t, name)) {
			t.Errorf("%s: %s", name, fault)
		}
	}
	for name := range publishedFiles {
		if !slices.Contains(found, name) {
			t.Errorf("docs/kms/%s is missing", name)
		}
	}
	for _, link := range regexp.MustCompile(`\(kms/([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		if _, ok := publishedFiles[link[1]]; !ok && link[1] != "" {
			t.Errorf("docs/kms.md links to kms/%s, which is not there", link[1])
		}
	}
}

// JSON in the page's code blocks is copied as the files are.
func TestPageJSON(t *testing.T) {
	for _, text := range codeBlocks(readPage(t), "json") {
		for _, fault := range lintBlock(text) {
			t.Errorf("%s\n%s", fault, text)
		}
	}
	for text, want := range map[string]string{
		`{"Version": "2012-10-17", "Statement": [{"Sid": "A1", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Decrypt", "Resource": "*"}]}`: "not one account or role",
		`{"Sid": "A1", "Effect": "Allow", "Action": "kms:*", "Resource": "*"}`:                                                                            "is a pattern",
		`{"a": 1,}`: "invalid character",
	} {
		if got := strings.Join(lintBlock(text), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// lintBlock judges JSON that is a policy, a statement of one, or something else.
func lintBlock(text string) []string {
	doc, err := decodeOnce(text)
	if err != nil {
		return []string{err.Error()}
	}
	m, ok := doc.(map[string]any)
	if !ok {
		return lintAccounts(doc)
	}
	if m["Effect"] != nil {
		m = map[string]any{"Version": "2012-10-17", "Statement": []any{doc}}
	}
	if m["Statement"] == nil {
		return lintAccounts(doc)
	}
	kind := identityPolicy
	if strings.Contains(text, `"Principal"`) {
		kind = keyPolicy
	}
	_, faults := lintPolicy(kind, m)
	return faults
}

// codeBlocks returns the fenced blocks of one language.
func codeBlocks(page, language string) []string {
	var out []string
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```").FindAllStringSubmatch(page, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestPage(t *testing.T) {
	page := readPage(t)
	lines := strings.Split(strings.TrimSuffix(page, "\n"), "\n")
	if len(lines) > pageLinesMax {
		t.Errorf("docs/kms.md has %d lines, want %d at most", len(lines), pageLinesMax)
	}
	for name := range testContext.Map() {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/kms.md does not name %s", name)
		}
	}
	_, err := parseURI(Scheme + ":" + testARN + "?no-such-parameter=x")
	_, known, ok := strings.Cut(fmt.Sprint(err), "known: ")
	if !ok {
		t.Fatalf("%v does not list the parameters", err)
	}
	for _, name := range append(strings.Split(known, ", "), "app/"+appID) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/kms.md does not name %s", name)
		}
	}
	for _, fault := range lintAccounts(page) {
		t.Errorf("docs/kms.md: %s", fault)
	}
}

// Sessions of a role last as long as the page says.
func TestPageRoleSession(t *testing.T) {
	p, form := withRole(t, http.StatusForbidden, stsError("AccessDenied"))
	wantError(t, p.Check(t.Context()), crypt.ClassCredentials, codeRole, "")
	seconds, err := strconv.Atoi(form().Get("DurationSeconds"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("byokdb's last %d minutes", seconds/60); !strings.Contains(readPage(t), want) {
		t.Errorf("the page does not say that %s", want)
	}
}

// Every `aws kms …` command of the page must exist: its name is that of an
// operation of the SDK.
func TestPageCommands(t *testing.T) {
	known := map[string]bool{}
	client := reflect.TypeFor[*kms.Client]()
	for m := range client.Methods() {
		known[kebab(m.Name)] = true
	}
	commands := regexp.MustCompile(`\baws kms ([a-z][a-z-]*)`).FindAllStringSubmatch(readPage(t), -1)
	if len(commands) == 0 {
		t.Fatal("the page has no commands")
	}
	for _, c := range commands {
		if !known[c[1]] {
			t.Errorf("there is no command aws kms %s", c[1])
		}
	}
}

// The tests that the page names as proofs must exist, in the package it says.
func TestPageProofs(t *testing.T) {
	proofs := regexp.MustCompile("`([a-z/]+)` (Test\\w+)").FindAllStringSubmatch(readPage(t), -1)
	if len(proofs) == 0 {
		t.Fatal("the page names no tests")
	}
	for _, proof := range proofs {
		files, err := filepath.Glob(filepath.Join("../..", proof[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(files, func(path string) bool {
			b, err := os.ReadFile(path)
			return err == nil && strings.Contains(string(b), "\nfunc "+proof[2]+"(t *testing.T) {")
		})
		if !found {
			t.Errorf("%s has no %s", proof[1], proof[2])
		}
	}
}

// kebab returns an operation's name as the command line has it.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// The query that looks for strangers must know byokdb as it shows itself.
func TestQueryNamesWhatIsSent(t *testing.T) {
	query := readPublished(t, "unexpected-use.sql")
	for _, want := range []string{
		"%app/" + appID + "%", `encryptionContext["byokdb:database"]`, `encryptionContext["byokdb:purpose"]`,
		`sourceEncryptionContext["byokdb:database"]`, `destinationEncryptionContext["byokdb:database"]`, customerAccount,
	} {
		if !strings.Contains(query, want) {
			t.Errorf("the query does not look at %s", want)
		}
	}
	for action := range kmsActions() {
		if name := strings.TrimPrefix(action, "kms:"); regexp.MustCompile(`^(Encrypt|Decrypt|GenerateDataKey.*)$`).MatchString(name) &&
			!strings.Contains(query, "'"+name+"'") {
			t.Errorf("the query does not look at %s", name)
		}
	}
}

// pageTable returns the rows of the page's table whose first heading is given,
// each as its cells.
func pageTable(t *testing.T, heading string) [][]string {
	t.Helper()
	lines := strings.Split(readPage(t), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "| "+heading+" |") {
			continue
		}
		var rows [][]string
		for _, row := range lines[i+2:] {
			if !strings.HasPrefix(row, "|") {
				break
			}
			cells := strings.Split(strings.Trim(row, "|"), "|")
			for j := range cells {
				cells[j] = strings.TrimSpace(cells[j])
			}
			rows = append(rows, cells)
		}
		if len(rows) == 0 {
			break
		}
		return rows
	}
	t.Fatalf("docs/kms.md has no table that begins with %q", heading)
	return nil
}
