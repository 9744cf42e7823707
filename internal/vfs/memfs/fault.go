package memfs

// Op is a kind of call.
type Op uint8

// The kinds of calls. Those up to OpCommit change something.
const (
	OpCreate Op = iota
	OpRemove
	OpRename
	OpMkdir
	OpSyncDir
	OpWrite
	OpSync
	OpSyncData
	OpPreallocate
	OpTruncate
	OpCloseWrite // of a file that was open for writing
	OpUpdate     // before its change
	OpCommit     // of an Update, after its change
	OpOpen
	OpList
	OpRead
	OpSize
	OpClose

	nOps
)

var opNames = [nOps]string{
	"create", "remove", "rename", "mkdir", "sync directory", "write", "sync", "sync data", "preallocate", "truncate",
	"close", "update", "commit", "open", "list", "read", "size", "close",
}

// String returns what the call does.
func (op Op) String() string { return opNames[op] }

// Syncs reports whether calls of the kind make data durable.
func (op Op) Syncs() bool { return op == OpSync || op == OpSyncData || op == OpCommit }

// Writes reports whether calls of the kind change something.
func (op Op) Writes() bool { return op <= OpCommit }

// Call is one call.
type Call struct {
	N    int64 // number among those that change something, from 1; of others, that of the last
	Op   Op
	Path string
}

// Calls counts calls by their kind.
type Calls [nOps]int64

// Writes returns the number of calls that change something.
func (c Calls) Writes() (n int64) {
	for _, k := range c[:OpCommit+1] {
		n += k
	}
	return n
}

// All returns the number of all calls.
func (c Calls) All() (n int64) {
	for _, k := range c {
		n += k
	}
	return n
}

// Fault says which call fails, and how.
type Fault struct {
	After  int64 // how many calls succeed before
	Err    error
	Always bool // all later ones fail too
	Reads  bool // calls that change nothing count and fail too
	Short  bool // a write writes the first half of its data before it fails
	Lose   bool // a sync loses the dirty pages; see the package's documentation

	// Only says which calls count and fail, of those that Reads admits; all when
	// nil. It must not call the file system.
	Only func(op Op, path string) bool
}

func (t *Fault) concerns(op Op, path string) bool {
	return (t.Reads || op.Writes()) && (t.Only == nil || t.Only(op, path))
}

// SetFault makes a call fail, counted from now on; nil ends it.
func (f *FS) SetFault(t *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = nil
	if t != nil {
		c := *t
		f.fault, f.left = &c, t.After
	}
}

// Faults returns how many calls have failed because of SetFault.
func (f *FS) Faults() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nFaults
}

// Calls returns how many calls there were.
func (f *FS) Calls() Calls {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// OnCall has fn called before every call that changes something, in the
// caller's goroutine; nil ends it. fn may call Crash, and nothing else of f.
func (f *FS) OnCall(fn func(c Call)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = fn
}

// enter counts a call and returns the fault with which it is to fail, if any.
func (f *FS) enter(op Op, path string) *Fault {
	f.mu.Lock()
	f.calls[op]++
	hook := f.hook
	call := Call{N: f.calls.Writes(), Op: op, Path: path}
	var hit *Fault
	if t := f.fault; t != nil && t.concerns(op, path) {
		if f.left--; f.left == -1 || f.left < 0 && t.Always {
			hit = t
			f.nFaults++
		}
	}
	f.mu.Unlock()
	if hook != nil && op.Writes() {
		hook(call)
	}
	return hit
}
