package torture

import "errors"

var (
	// ErrLost means that a commit that was acknowledged is not there.
	ErrLost = errors.New("an acknowledged commit was lost")

	// ErrWrong means that the contents are none that any order of whole
	// transactions makes.
	ErrWrong = errors.New("the database holds what was never committed")
)
