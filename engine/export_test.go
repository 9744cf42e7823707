package engine

import "github.com/byokdb/byokdb/internal/vfs"

// SetFS gives tests of other packages' code a file system that fails.
func (o *Options) SetFS(files vfs.FS) { o.fs = files }
