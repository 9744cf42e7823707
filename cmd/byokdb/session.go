package main

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"time"
)

// session runs statements on one connection, so that a transaction can span
// them, and writes their rows.
type session struct {
	db     *stdsql.DB
	conn   *stdsql.Conn
	out    io.Writer
	format string
	width  func() int // of the terminal; 0 for no limit
}

// outcome says what a statement did.
type outcome struct {
	rows    int64 // rows shown
	changed int64 // rows changed, when the statement shows none
	shows   bool
	took    time.Duration
}

// run runs one statement. When the connection is found broken, as after the
// database wiped its memory, another one takes its place.
func (s *session) run(ctx context.Context, text string) (outcome, error) {
	for attempt := 0; ; attempt++ {
		conn, err := s.connection(ctx)
		if err != nil {
			return outcome{}, err
		}
		begin := time.Now()
		var o outcome
		if yieldsRows(text) {
			o, err = s.query(ctx, conn, text)
		} else {
			var res stdsql.Result
			if res, err = conn.ExecContext(ctx, text); err == nil {
				o.changed, _ = res.RowsAffected() // 0 where the driver cannot say
			}
		}
		o.took = time.Since(begin)
		broken := errors.Is(err, driver.ErrBadConn) || errors.Is(err, stdsql.ErrConnDone)
		if !broken || attempt > 0 {
			return o, err
		}
		if err := s.drop(); err != nil {
			return o, err
		}
	}
}

func (s *session) connection(ctx context.Context) (*stdsql.Conn, error) {
	if s.conn == nil {
		c, err := s.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		s.conn = c
	}
	return s.conn, nil
}

// drop gives the connection up.
func (s *session) drop() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	if errors.Is(err, stdsql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return nil
	}
	return err
}

func (s *session) query(ctx context.Context, conn *stdsql.Conn, text string) (o outcome, err error) {
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil || len(columns) == 0 {
		return o, errors.Join(err, drain(rows))
	}
	o.shows = true
	width := 0
	if s.width != nil {
		width = s.width()
	}
	r, err := newRenderer(s.format, s.out, width)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, r.finish()) }()
	if err := r.header(columns); err != nil {
		return o, err
	}
	values := make([]any, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return o, err
		}
		if err := r.row(values); err != nil {
			return o, err
		}
		o.rows++
	}
	return o, rows.Err()
}

// drain runs a statement without columns to its end.
func drain(rows *stdsql.Rows) error {
	for rows.Next() { // there is nothing to do with a row without columns
	}
	return rows.Err()
}
