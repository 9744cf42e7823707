//go:build unix

package localkey

import "io/fs"

// checkMode refuses a file that group or others may touch, and one that its
// owner may not read: root could read that all the same, but taking the
// permission away is how its owner says no.
func checkMode(m fs.FileMode) error {
	switch {
	case m.Perm()&0o077 != 0:
		return errExposed
	case m.Perm()&0o400 == 0:
		return errWithheld
	}
	return nil
}
