package toolstest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/parse"
)

// statementsRecorded is how many statements testdata/sql-tools.json has.
const statementsRecorded = 136

// TestReplay runs what the tools were recorded to send, in the same order, with
// arguments by the name of the column that they are for. No statement fails.
func TestReplay(t *testing.T) {
	text, err := os.ReadFile("testdata/sql-tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var list [][2]string
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != statementsRecorded {
		t.Fatalf("%d statements, there are %d", len(list), statementsRecorded)
	}
	var tools []string
	byTool := map[string][]string{}
	for _, s := range list {
		if byTool[s[0]] == nil {
			tools = append(tools, s[0])
		}
		byTool[s[0]] = append(byTool[s[0]], s[1])
	}
	for _, tool := range tools {
		t.Run(strings.TrimSuffix(tool, "/x"), func(t *testing.T) {
			Both(t, func(l *Life) { replay(l, byTool[tool]) })
		})
	}
}

// before holds what stood before a statement in the recorded program: each text
// was recorded once, for the first tool that sent it.
var before = map[string][]string{
	"SELECT sql FROM sqlite_master WHERE type = ? AND tbl_name = ? AND name = ?": {"RELEASE sp9340416840617544533"},
	"ALTER TABLE `users__temp` RENAME TO `users`":                                {"DROP TABLE `users`"},
	"CREATE TABLE `users__temp` (`id` integer PRIMARY KEY AUTOINCREMENT,`created_at` datetime,`updated_at` datetime,`deleted_at` datetime,`name` text NOT NULL DEFAULT \"anon\",`email` text,`age` integer,`birthday` datetime,`active` numeric,`score` real,`blob` blob,`company_id` integer,\"nickname\" text,CONSTRAINT `fk_users_company` FOREIGN KEY (`company_id`) REFERENCES `companies`(`id`),CONSTRAINT `age_ok` CHECK (age < 200))": {
		"CREATE INDEX `idx_name` ON `users`(`name`)",
	},
}

// undefined are the statements whose rows are up to the database: names of files,
// the first row of no order.
var undefined = map[string]bool{
	"PRAGMA database_list":                     true,
	"SELECT `users`.`id` FROM `users` LIMIT 1": true,
}

// failing are the statements that fail on purpose: goose asks for its table so.
var failing = map[string]bool{
	"SELECT version_id, is_applied from goose_db_version ORDER BY id DESC": true,
}

func replay(l *Life, recorded []string) {
	conn, err := l.DB.Conn(context.Background()) // transactions and pragmas span statements
	l.Must(err)
	l.on = conn
	var statements []string
	for _, text := range recorded {
		statements = append(append(statements, before[text]...), text)
	}
	for n, text := range statements {
		args, err := argumentsFor(text, n)
		if err != nil {
			l.Fatalf("%s: %v", text, err)
		}
		from := len(l.seen)
		switch err := l.query(text, args...); {
		case undefined[text] && err == nil:
			l.seen = l.seen[:from]
		case failing[text]:
			l.Fails(text, err)
		case err != nil:
			l.Errorf("%s: %v", text, err)
		}
		l.Query("SELECT changes()")
	}
	l.on = nil
	l.Must(conn.Close())
}

var (
	insertColumns = regexp.MustCompile("(?s)^INSERT INTO [^ (]+ ?(?:AS \"u\" )?\\(([^)]*)\\)")
	columnBefore  = regexp.MustCompile("([A-Za-z_]+)[`\"]?\\)?\\s*(=|<>|<|>|LIKE|IN \\(|BETWEEN|[(]|[+], 0[)] [+]|AND)[^=<>]*$")
)

// argumentsFor returns the arguments of a statement, the n-th of its tool.
func argumentsFor(text string, n int) ([]any, error) {
	list, err := parse.Statements(text)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, st := range list {
		count += len(st.Params)
	}
	if count == 0 {
		return nil, nil
	}
	var cols []string
	if m := insertColumns.FindStringSubmatch(text); m != nil {
		for c := range strings.SplitSeq(m[1], ",") {
			cols = append(cols, strings.Trim(c, " `\""))
		}
	}
	args := make([]any, count)
	at := 0
	for i := range args {
		at += strings.Index(text[at:], "?") + 1
		name := ""
		if cols != nil {
			name = cols[i%len(cols)]
		} else if m := columnBefore.FindStringSubmatch(text[:at-1]); m != nil {
			name = m[1]
		}
		args[i] = argument(strings.ToLower(name), n, i)
	}
	return args, nil
}

// argument returns a value for a column.
func argument(column string, n, i int) any {
	switch column {
	case "id", "user_pets", "company_id", "user_id", "friend_id", "language_id":
		return 1 + i%2
	case "version", "version_id":
		return 20260000 + n
	case "age", "count":
		return 20 + n%7 + i
	case "active", "dirty", "is_applied":
		return i%2 == 0
	case "created_at", "updated_at", "birthday":
		return "2026-11-23 08:28:51+00:00"
	case "deleted_at":
		return nil
	case "email", "name", "code", "title":
		return fmt.Sprintf("%s-%d-%d", column, n, i)
	case "score":
		return 1.5 * float64(n)
	case "blob":
		return []byte{byte(n), 0, byte(i)}
	case "tags":
		return `["a","b"]`
	case "type", "tbl_name", "sql", "pragma_index_list", "pragma_index_info":
		return []string{"table", "users", "users"}[i%3]
	default:
		return fmt.Sprintf("v-%d-%d", n, i)
	}
}
