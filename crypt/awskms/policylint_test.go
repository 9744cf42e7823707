package awskms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/byokdb/byokdb/crypt"
)

// This file judges the policies that customers copy from docs/kms. It is
// stricter than AWS: what is not known here is a fault, so that a misspelled
// condition or an action too many does not get past it.

// policyKind is where a policy is attached.
type policyKind uint8

const (
	keyPolicy      policyKind = iota + 1 // to a KMS key
	trustPolicy                          // to a role: who may assume it
	identityPolicy                       // to a role: what it may do
)

// Who is who in the published policies.
const (
	customerAccount = "111122223333"
	vendorAccount   = "444455556666"
	customerRole    = "arn:aws:iam::" + customerAccount + ":role/byokdb"
	vendorRole      = "arn:aws:iam::" + vendorAccount + ":role/orders-service"
)

// exampleAccounts are the account ids that AWS keeps for documentation.
var exampleAccounts = []string{"111122223333", "123456789012", "444455556666", "777788889999"}

// useActions are what byokdb needs of a key, each with whether it takes an
// encryption context.
var useActions = map[string]bool{
	"kms:GenerateDataKey": true, "kms:Decrypt": true, "kms:ReEncryptFrom": true, "kms:ReEncryptTo": true, "kms:DescribeKey": false,
}

// conditionKeys are the condition keys that the policies use, as AWS spells
// them; true for those with several values, which need ForAllValues.
var conditionKeys = map[string]bool{
	"aws:SourceVpce": false, "aws:TokenIssueTime": false, "sts:ExternalId": false, "sts:RoleSessionName": false,
	"kms:EncryptionContextKeys": true, "kms:GrantOperations": true, "kms:GrantConstraintType": false, "kms:GranteePrincipal": false,
	"kms:ReEncryptOnSameKey": false, "kms:ScheduleKeyDeletionPendingWindowInDays": false,
}

const (
	contextKeyPrefix = "kms:EncryptionContext:"
	contextKeysKey   = "kms:EncryptionContextKeys"
	forAll           = "ForAllValues:StringEquals"
)

var conditionOperators = []string{forAll, "StringEquals", "StringNotEquals", "Bool", "NumericEquals", "DateLessThan"}

// kmsActions are the KMS actions that exist: the operations of the SDK, and the
// two halves of ReEncrypt.
func kmsActions() map[string]bool {
	actions := map[string]bool{"kms:ReEncryptFrom": true, "kms:ReEncryptTo": true}
	client := reflect.TypeFor[*kms.Client]()
	for m := range client.Methods() {
		if m.Name != "Options" && m.Name != "ReEncrypt" {
			actions["kms:"+m.Name] = true
		}
	}
	return actions
}

// statement is one statement of a policy; lists are made of single values.
type statement struct {
	sid, effect         string
	principals, actions []string
	resources           []string
	conditions          map[string]map[string][]string // operator, key, values
}

// policyLinter collects what is wrong with one policy.
type policyLinter struct {
	kind   policyKind
	faults []string
}

func (l *policyLinter) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// lintPolicy parses a policy and returns its statements and what is wrong with it.
func lintPolicy(kind policyKind, doc any) ([]statement, []string) {
	l := &policyLinter{kind: kind}
	top := l.members(doc, "the policy", "Version", "Statement")
	if top["Version"] != "2012-10-17" {
		l.fault("Version is %v: say 2012-10-17", top["Version"])
	}
	list, ok := top["Statement"].([]any)
	if !ok || len(list) == 0 {
		l.fault("Statement is no list of statements")
	}
	var out []statement
	sids := map[string]bool{}
	for _, v := range list {
		s := l.statement(v)
		if sids[s.sid] {
			l.fault("two statements are named %q", s.sid)
		}
		sids[s.sid] = true
		l.judge(s)
		out = append(out, s)
	}
	l.faults = append(l.faults, lintAccounts(doc)...)
	return out, l.faults
}

// members returns the members of an object, and refuses all but the known ones.
func (l *policyLinter) members(v any, what string, known ...string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		l.fault("%s is no object with members", what)
	}
	for name := range m {
		if !slices.Contains(known, name) {
			l.fault("%s has the unknown member %s", what, name)
		}
	}
	return m
}

// list returns a string or a list of strings as a list.
func (l *policyLinter) list(v any, what string) []string {
	if s, ok := v.(string); ok && s != "" {
		return []string{s}
	}
	values, ok := v.([]any)
	if !ok || len(values) == 0 {
		l.fault("%s is neither a string nor a list of strings", what)
	}
	var out []string
	for _, one := range values {
		s, ok := one.(string)
		if !ok || s == "" || slices.Contains(out, s) {
			l.fault("%s has the value %v: no string, empty, or twice", what, one)
		}
		out = append(out, s)
	}
	return out
}

func (l *policyLinter) statement(v any) (s statement) {
	known := map[policyKind][]string{
		keyPolicy:      {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"},
		trustPolicy:    {"Sid", "Effect", "Principal", "Action", "Condition"},
		identityPolicy: {"Sid", "Effect", "Action", "Resource", "Condition"},
	}[l.kind]
	m := l.members(v, "a statement", known...)
	sid, _ := m["Sid"].(string)
	effect, _ := m["Effect"].(string)
	s = statement{sid: sid, effect: effect, conditions: map[string]map[string][]string{}}
	if !regexp.MustCompile(`^[A-Z][0-9A-Za-z]+$`).MatchString(sid) {
		l.fault("Sid %q is no name", sid)
	}
	if effect != "Allow" && effect != "Deny" {
		l.fault("%s: Effect is %q", sid, effect)
	}
	s.actions = l.list(m["Action"], sid+": Action")
	if slices.Contains(known, "Principal") {
		s.principals = l.list(l.members(m["Principal"], sid+": Principal", "AWS")["AWS"], sid+": Principal")
	}
	if slices.Contains(known, "Resource") {
		s.resources = l.list(m["Resource"], sid+": Resource")
	}
	condition, ok := m["Condition"]
	if !ok {
		return s
	}
	for operator, keys := range l.members(condition, sid+": Condition", conditionOperators...) {
		s.conditions[operator] = map[string][]string{}
		pairs, ok := keys.(map[string]any)
		if !ok || len(pairs) == 0 {
			l.fault("%s: %s holds no conditions", sid, operator)
		}
		for key, values := range pairs {
			s.conditions[operator][key] = l.list(values, sid+": "+key)
		}
	}
	return s
}

var (
	principalARN = regexp.MustCompile(`^arn:aws:iam::(\d{12}):(root|role/[\w+=,.@/-]+)$`)
	resourceARN  = regexp.MustCompile(`^arn:aws:(kms:[a-z]+-[a-z]+-\d:\d{12}:key/[0-9a-z-]+|iam::\d{12}:role/[\w+=,.@/-]+)$`)
)

// judge looks at what a statement allows or denies, and to whom.
func (l *policyLinter) judge(s statement) {
	for _, p := range s.principals {
		if !principalARN.MatchString(p) {
			l.fault("%s: principal %s is not one account or role", s.sid, p)
		}
	}
	for _, r := range s.resources {
		switch {
		case l.kind == keyPolicy && r != "*":
			l.fault("%s: a key policy speaks of its own key, which is *, not %s", s.sid, r)
		case l.kind == identityPolicy && !resourceARN.MatchString(r) && s.effect != "Deny":
			l.fault("%s: resource %s is not one key or role", s.sid, r)
		}
	}
	l.judgeActions(s)
	l.judgeConditions(s)
}

func (l *policyLinter) judgeActions(s statement) {
	known := kmsActions()
	byVendor := l.kind == identityPolicy || slices.ContainsFunc(s.principals, func(p string) bool {
		return p == customerRole || strings.Contains(p, ":"+vendorAccount+":")
	})
	for _, a := range s.actions {
		withContext, use := useActions[a]
		switch {
		case a == "*" && l.kind == identityPolicy && s.effect == "Deny":
		case strings.Contains(a, "*"):
			l.fault("%s: action %s is a pattern: name the actions", s.sid, a)
		case a == "sts:AssumeRole" && l.kind != keyPolicy:
		case l.kind == trustPolicy || !known[a]:
			l.fault("%s: action %s is not known here", s.sid, a)
		case s.effect == "Deny":
		case byVendor && !use:
			l.fault("%s: the vendor needs no %s", s.sid, a)
		case !byVendor && use && withContext, isCryptographic(a) && !use:
			l.fault("%s: %s lets somebody else use the key", s.sid, a)
		case use && withContext && !s.limitsContext():
			l.fault("%s: %s without the whole encryption context", s.sid, a)
		case strings.HasPrefix(a, "kms:ReEncrypt") && !slices.Equal(s.conditions["Bool"]["kms:ReEncryptOnSameKey"], []string{"true"}):
			l.fault("%s: %s could wrap the data key under another key", s.sid, a)
		case a == "kms:CreateGrant" && !s.limitsGrants():
			l.fault("%s: kms:CreateGrant could give away any use of the key", s.sid)
		case a == "kms:ScheduleKeyDeletion" && len(s.conditions["NumericEquals"]) == 0:
			l.fault("%s: deletion without a waiting period", s.sid)
		}
	}
	if l.kind == trustPolicy && len(s.conditions["StringEquals"]["sts:ExternalId"]) != 1 {
		l.fault("%s: no external id", s.sid)
	}
}

// isCryptographic reports whether an action uses a key instead of managing it.
func isCryptographic(action string) bool {
	verbs := regexp.MustCompile(`^kms:(Decrypt|Encrypt|ReEncrypt|Generate|Sign|Verify|Derive|Encapsulate|Decapsulate)`)
	return verbs.MatchString(action)
}

// limitsContext reports whether a statement asks for the database and the
// purpose, and forbids other members of the encryption context.
func (s statement) limitsContext() bool {
	equal := s.conditions["StringEquals"]
	return len(equal[contextKeyPrefix+crypt.ContextDatabase]) == 1 &&
		slices.Equal(equal[contextKeyPrefix+crypt.ContextPurpose], []string{crypt.PurposeData}) &&
		len(s.conditions[forAll][contextKeysKey]) == len(testContext.Map())
}

// limitsGrants reports whether a statement fixes the grantee, the operations
// and that there is a constraint.
func (s statement) limitsGrants() bool {
	equal := s.conditions["StringEquals"]
	return len(equal["kms:GranteePrincipal"]) == 1 && len(equal["kms:GrantConstraintType"]) == 1 &&
		len(s.conditions[forAll]["kms:GrantOperations"]) > 0
}

func (l *policyLinter) judgeConditions(s statement) {
	for operator, keys := range s.conditions {
		for key, values := range keys {
			several, known := conditionKeys[key]
			if member, ok := strings.CutPrefix(key, contextKeyPrefix); ok {
				_, known = testContext.Map()[member]
			}
			if !known {
				l.fault("%s: condition key %s is not known here", s.sid, key)
			}
			if known && several != (operator == forAll) {
				l.fault("%s: %s does not go with %s", s.sid, key, operator)
			}
			for _, v := range values {
				l.judgeValue(s.sid, key, v)
			}
		}
	}
}

func (l *policyLinter) judgeValue(sid, key, v string) {
	_, member := testContext.Map()[v]
	switch {
	case strings.ContainsAny(v, "*?$"):
		l.fault("%s: %s is compared with the pattern %s", sid, key, v)
	case key == contextKeysKey && !member:
		l.fault("%s: byokdb sends no %s in the encryption context", sid, v)
	case key == "kms:GrantOperations" && !slices.Contains(types.GrantOperation("").Values(), types.GrantOperation(v)):
		l.fault("%s: there is no grant operation %s", sid, v)
	}
}

// lintGrant returns what is wrong with the input of create-grant.
func lintGrant(doc any) []string {
	l := &policyLinter{}
	m := l.members(doc, "the grant", "KeyId", "Name", "GranteePrincipal", "Operations", "Constraints")
	for _, name := range []string{"KeyId", "GranteePrincipal"} {
		if s, _ := m[name].(string); !resourceARN.MatchString(s) {
			l.fault("%s %q is not one key or role", name, s)
		}
	}
	for _, op := range l.list(m["Operations"], "Operations") {
		if _, ok := useActions["kms:"+op]; !ok {
			l.fault("the vendor needs no %s", op)
		}
	}
	subset := l.members(l.members(m["Constraints"], "Constraints", "EncryptionContextSubset")["EncryptionContextSubset"],
		"EncryptionContextSubset", crypt.ContextDatabase, crypt.ContextPurpose)
	if subset[crypt.ContextDatabase] == nil || subset[crypt.ContextPurpose] != crypt.PurposeData {
		l.fault("the constraint names no database, or not the purpose %s", crypt.PurposeData)
	}
	return append(l.faults, lintAccounts(doc)...)
}

// lintAccounts refuses account ids that might be somebody's.
func lintAccounts(v any) (faults []string) {
	b, err := json.Marshal(v)
	if err != nil {
		return []string{err.Error()}
	}
	for _, id := range regexp.MustCompile(`[0-9A-Za-z-]+`).FindAllString(string(b), -1) {
		if len(id) == 12 && strings.IndexFunc(id, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 && !slices.Contains(exampleAccounts, id) {
			faults = append(faults, "account "+id+" is none of AWS's example accounts")
		}
	}
	return faults
}

// decodeOnce decodes one JSON value. A member that comes twice, of which
// encoding/json silently keeps the last, is an error, and so is what follows.
func decodeOnce(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	v, err := decodeValue(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		m := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			member := fmt.Sprint(name)
			if _, ok := m[member]; ok {
				return nil, fmt.Errorf("member %s comes twice", member)
			}
			if m[member], err = decodeValue(d); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// The lint must find what it is there for: each case takes a policy that is
// good and spoils one thing.
func TestLintRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file, old, with, want string
	}{
		{"principal star", "key-policy.json", `{ "AWS": "` + customerRole + `" }`, `"*"`, "no object"},
		{"principal AWS star", "key-policy.json", `"AWS": "` + customerRole + `"`, `"AWS": "*"`, "not one account or role"},
		{"principal star in a list", "key-policy.json", `"AWS": "` + customerRole + `"`, `"AWS": ["` + customerRole + `", "*"]`, "not one account or role"},
		{"principal pattern", "key-policy.json", customerRole, "arn:aws:iam::" + customerAccount + ":role/byok*", "not one account or role"},
		{"principal of a service", "key-policy.json", `"AWS": "` + customerRole + `"`, `"Service": "ec2.amazonaws.com"`, "unknown member Service"},
		{"principal user", "key-policy.json", customerRole, "arn:aws:iam::" + customerAccount + ":user/bob", "not one account or role"},
		{"NotPrincipal", "deny-database.json", `"Principal"`, `"NotPrincipal"`, "unknown member NotPrincipal"},
		{"NotAction", "key-policy.json", `"Action": "kms:DescribeKey"`, `"NotAction": "kms:DescribeKey"`, "unknown member NotAction"},
		{"NotResource", "key-policy.json", `"Resource"`, `"NotResource"`, "unknown member NotResource"},
		{"every action", "key-policy.json", `"Action": "kms:DescribeKey"`, `"Action": "kms:*"`, "is a pattern"},
		{"many actions", "key-policy.json", `"kms:Decrypt"`, `"kms:Decrypt*"`, "is a pattern"},
		{"every action of an identity", "vendor-use-grant.json", `"Action": "kms:DescribeKey"`, `"Action": "*"`, "is a pattern"},
		{"Encrypt for the vendor", "key-policy.json", `"kms:Decrypt"`, `"kms:Encrypt"`, "the vendor needs no kms:Encrypt"},
		{"management for the vendor", "key-policy.json", `"Action": "kms:DescribeKey"`, `"Action": "kms:PutKeyPolicy"`, "the vendor needs no kms:PutKeyPolicy"},
		{"use by the account", "key-policy.json", `"kms:GetKeyPolicy"`, `"kms:Decrypt"`, "lets somebody else use the key"},
		{"random data by the account", "key-policy.json", `"kms:GetKeyPolicy"`, `"kms:GenerateMac"`, "lets somebody else use the key"},
		{"misspelled action", "key-policy.json", "kms:DisableKey\"", "kms:DisableKeys\"", "is not known here"},
		{"action of another service", "key-policy.json", `"kms:GetKeyPolicy"`, `"s3:GetObject"`, "is not known here"},
		{"ReEncrypt as policies do not have it", "key-policy.json", `"kms:ReEncryptFrom"`, `"kms:ReEncrypt"`, "is not known here"},
		{"misspelled condition key", "key-policy.json", "kms:EncryptionContext:byokdb:database", "kms:EncryptionContext:byokdb:databse", "byokdb:databse is not known"},
		{"lower-case condition key", "deny-outside-endpoint.json", "aws:SourceVpce", "aws:sourcevpce", "aws:sourcevpce is not known"},
		{"unknown operator", "key-policy.json", `"StringEquals"`, `"StringEqualsIfExists"`, "unknown member StringEqualsIfExists"},
		{"set operator on a single value", "deny-database.json", `"StringEquals"`, `"ForAllValues:StringEquals"`, "does not go with"},
		{"no set operator on many values", "key-policy-grant.json", `"ForAllValues:StringEquals"`, `"StringNotEquals"`, "does not go with"},
		{"pattern as a value", "key-policy.json", `"data"`, `"*"`, "with the pattern"},
		{"policy variable", "key-policy.json", `"data"`, `"${aws:username}"`, "with the pattern"},
		{"no purpose", "key-policy.json", `"kms:EncryptionContext:byokdb:purpose": "data"`, `"kms:GrantConstraintType": "x"`, "without the whole encryption context"},
		{"other members of the context", "key-policy.json", `"byokdb:purpose", "byokdb:epoch"]`, `"byokdb:purpose"]`, "without the whole encryption context"},
		{"context that byokdb does not send", "key-policy.json", `"byokdb:epoch"]`, `"byokdb:tenant"]`, "byokdb sends no byokdb:tenant"},
		{"rewrap under another key", "key-policy.json", `"kms:ReEncryptOnSameKey": "true"`, `"kms:ReEncryptOnSameKey": "false"`, "under another key"},
		{"deletion at once", "key-policy.json", `"NumericEquals": { "kms:ScheduleKeyDeletionPendingWindowInDays": "30" }`, `"Bool": { "kms:ReEncryptOnSameKey": "true" }`, "without a waiting period"},
		{"grants to anybody", "key-policy-grant.json", "kms:GranteePrincipal", "sts:ExternalId", "any use of the key"},
		{"trust without external id", "role-trust-policy.json", "sts:ExternalId", "sts:RoleSessionName2", "no external id"},
		{"trust for other actions", "role-trust-policy.json", "sts:AssumeRole", "kms:Decrypt", "is not known here"},
		{"every key", "vendor-use-grant.json", "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "*", "not one key or role"},
		{"keys of an account", "vendor-use-grant.json", "key/1234abcd-12ab-34cd-56ef-1234567890ab", "key/*", "not one key or role"},
		{"a key in a key policy", "key-policy.json", `"Resource": "*"`, `"Resource": "arn:aws:kms:eu-west-1:111122223333:key/a"`, "its own key"},
		{"old version", "key-policy.json", "2012-10-17", "2008-10-17", "Version"},
		{"version of tomorrow", "key-policy.json", "2012-10-17", "2026-10-17", "Version"},
		{"no effect", "key-policy.json", `"Effect": "Allow"`, `"Effect": "allow"`, "Effect"},
		{"same name twice", "key-policy.json", "RewrapUnderTheSameKey", "DataKeysOfOneDatabase", "are named"},
		{"member twice", "key-policy.json", `"Action": "kms:DescribeKey"`, `"Action": "kms:DescribeKey", "Action": "kms:Decrypt"`, "comes twice"},
		{"two documents", "deny-database.json", "\n}\n", "\n}\n{}", "follows"},
		{"no JSON", "deny-database.json", "\n}\n", "\n", "EOF"},
		{"somebody's account", "key-policy.json", customerAccount, "111122223344", "example accounts"},
		{"empty action", "key-policy.json", `"Action": "kms:DescribeKey"`, `"Action": []`, "neither a string"},
		{"grant to everybody", "grant.json", vendorRole, "*", "not one key or role"},
		{"grant without constraint", "grant.json", `"byokdb:database": "0123456789abcdef0123456789abcdef",`, "", "names no database"},
		{"grant of grants", "grant.json", `"DescribeKey"`, `"CreateGrant"`, "needs no CreateGrant"},
		{"grant of Encrypt", "grant.json", `"Decrypt"`, `"Encrypt"`, "needs no Encrypt"},
		{"grant by epoch", "grant.json", "EncryptionContextSubset", "EncryptionContextEquals", "unknown member EncryptionContextEquals"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := readPublished(t, c.file)
			if faults := lintFile(c.file, good); len(faults) > 0 {
				t.Fatalf("the policy to spoil is not good: %v", faults)
			}
			bad := strings.ReplaceAll(good, c.old, c.with)
			if bad == good {
				t.Fatalf("%s does not hold %s", c.file, c.old)
			}
			faults := lintFile(c.file, bad)
			if !strings.Contains(strings.Join(faults, "\n"), c.want) {
				t.Errorf("got %q, want %q among them", faults, c.want)
			}
		})
	}
}
