package sql

import "github.com/byokdb/byokdb/sql/sqlerr"

// Error is what SQL fails with: codes as SQLite numbers them, a message as
// SQLite words it, the byte offset in the statement, -1 when unknown. It never
// holds a row. Errors of the engine are reached through errors.Is and
// errors.As: engine.ErrKeyUnavailable and *engine.KeyError among them.
type Error = sqlerr.Error
