package work

import "time"

// A Store is an ordered key-value database that makes a commit durable before
// the call returns.
type Store interface {
	// Write commits n rows in one durable transaction.
	Write(n int, row func(i int) (key, value []byte)) error

	// Put commits one row durably. Others do so at the same time if together.
	Put(key, value []byte, together bool) error

	// Get reads one row in a transaction of its own and appends its value to
	// buf. Without such a row found is false.
	Get(key, buf []byte) (value []byte, found bool, err error)

	// View calls fn with a get that reads as Get does, all in one read transaction.
	View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error

	// Walk visits at most n rows in order: from a key on, from being nil for the
	// first; or backwards, those before it. n < 0 means all. What visit is given
	// is valid during the call.
	Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error

	// Settle returns when the database has had nothing to do in the background for
	// the time of quiet.
	Settle(quiet time.Duration) error

	// Compact makes the files as small as the engine's own means can. Nothing but
	// Close may follow.
	Compact() error

	// Close closes the database.
	Close() error
}

// Options are how a Store is opened.
type Options struct {
	Cache int64 // budget of the engine's own cache in bytes
	Quiet bool  // opened to be read: what speeds up writes at the cost of opening is off
}

// An Engine opens Stores of one kind.
type Engine struct {
	Name      string
	Encrypted bool
	Open      func(dir string, o Options) (Store, error) // creates what is absent
}
