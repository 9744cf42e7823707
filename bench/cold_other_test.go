//go:build !linux

package bench

import "errors"

const canDropCache = false

func dropCache(string) error { return errors.ErrUnsupported }
