package sql

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
)

// registry keeps the engines that a driver has open: one per directory, however
// many sql.DB use it. The zero value is ready.
type registry struct {
	mu   sync.Mutex
	open map[string]*shared // by resolved directory
}

// shared is an engine and those who use it.
type shared struct {
	dir  string
	refs int  // users and those who wait to be one; guarded by registry.mu
	turn turn // of who opens, closes or looks at the fields below

	key    crypt.Provider
	eng    *engine.DB // nil while closed
	opened engineOptions
	db     *exec.Database
}

// acquire opens a directory's engine, or shares the open one. Others are not
// held up while one opens: that calls a KMS. release must be called.
func (r *registry) acquire(ctx context.Context, dir string, o dsnOptions) (*shared, error) {
	s := r.enter(resolve(dir))
	err := s.turn.take(ctx)
	if err == nil {
		if s.eng == nil {
			err = s.start(ctx, &o)
		} else if err = o.engine.verify(&s.opened); err == nil {
			err = s.verifyKey(ctx, o.keyURI)
		}
		s.turn.give()
	}
	if err != nil {
		return nil, errors.Join(err, r.release(s))
	}
	return s, nil
}

func (r *registry) enter(dir string) *shared {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.open[dir]
	if s == nil {
		s = &shared{dir: dir, turn: newTurn()}
		if r.open == nil {
			r.open = make(map[string]*shared)
		}
		r.open[dir] = s
	}
	s.refs++
	return s
}

// release closes an engine after its last user.
func (r *registry) release(s *shared) error {
	r.mu.Lock()
	s.refs--
	idle := s.refs == 0
	r.mu.Unlock()
	if !idle {
		return nil
	}
	_ = s.turn.take(context.Background()) // without an end there is no error
	defer s.turn.give()
	r.mu.Lock()
	idle = s.refs == 0 // somebody may have come meanwhile
	r.mu.Unlock()
	if !idle {
		return nil
	}
	err := s.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.refs == 0 && r.open[s.dir] == s {
		delete(r.open, s.dir)
	}
	return err
}

// start opens the engine. An existing database remembers its key's URI.
func (s *shared) start(ctx context.Context, o *dsnOptions) error {
	keyURI := o.keyURI
	if keyURI == "" {
		info, err := engine.Stat(s.dir)
		if err != nil {
			return fmt.Errorf("no key in the data source name: %w", err)
		}
		keyURI = info.KeyURI
	}
	key, err := keyuri.Open(ctx, keyURI)
	if err != nil {
		return err
	}
	eng, err := engine.Open(ctx, s.dir, key, &engine.Options{
		MustExist: o.engine.mustExist, MinPosition: o.engine.minPosition, CacheSize: o.engine.cacheSize,
		SpillMax: o.engine.spillMax, Sync: o.engine.sync,
		Compression: o.engine.compression,
	})
	if err != nil {
		return errors.Join(err, key.Close())
	}
	s.key, s.eng, s.opened, s.db = key, eng, o.engine, exec.NewDatabase(eng)
	_ = s.db.Sweep(ctx) // what fails is tried again before the first write
	return nil
}

// verifyKey refuses to share an open engine under the name of another key, as
// opening it would.
func (s *shared) verifyKey(ctx context.Context, keyURI string) error {
	if keyURI == "" || keyURI == s.key.URI() {
		return nil
	}
	key, err := keyuri.Open(ctx, keyURI)
	if err != nil {
		return err
	}
	if key.KeyID() != s.key.KeyID() {
		err = key.Check(ctx) // a key file tells its id when it is read
		if err == nil && key.KeyID() != s.key.KeyID() {
			err = fmt.Errorf("%s: %w: it is sealed under %s, the key given is %s; open it with that key",
				s.dir, engine.ErrWrongKey, s.key.KeyID(), key.KeyID())
		}
	}
	return errors.Join(err, key.Close())
}

func (s *shared) stop() error {
	if s.eng == nil {
		return nil
	}
	err := errors.Join(s.eng.Close(), s.key.Close())
	s.eng, s.key, s.db = nil, nil, nil
	return err
}

// resolve returns one name for a directory, which need not exist yet, whatever
// links lead to it.
func resolve(dir string) string {
	if p, err := filepath.EvalSymlinks(dir); err == nil {
		return p
	}
	if p, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		return filepath.Join(p, filepath.Base(dir))
	}
	return dir
}

// turn is a mutex whose wait ends with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }
