package devkms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/byokdb/byokdb/internal/vfs"
)

// store keeps the state in one file, replaced as a whole.
type store interface {
	load() (state, error)
	save(state) error
}

const stateFile = "devkms.json"

type fileStore struct {
	fs  vfs.FS
	dir string
}

func openStore(dir string) (store, error) {
	fsys := vfs.OS()
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the directory of devkms: %w", err)
	}
	return fileStore{fs: fsys, dir: dir}, nil
}

func (f fileStore) path() string { return filepath.Join(f.dir, stateFile) }

func (f fileStore) load() (state, error) {
	b, err := os.ReadFile(f.path())
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return state{}, fmt.Errorf("read the state of devkms: %w", err)
	}
	st := newState()
	if err := json.Unmarshal(b, &st); err != nil {
		return state{}, fmt.Errorf("%s is damaged; restore it, or choose another directory: %w", f.path(), err)
	}
	if st.Version != stateVersion {
		return state{}, fmt.Errorf("%s has version %d, this program knows %d", f.path(), st.Version, stateVersion)
	}
	for _, k := range st.Keys {
		if len(k.Materials) == 0 {
			return state{}, fmt.Errorf("%s is damaged: key %s has no material", f.path(), k.ID)
		}
		if k.Region == "" {
			k.Region = Region
		}
	}
	return st, nil
}

// save replaces the file; it is durable when save returns.
func (f fileStore) save(st state) error {
	b, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	defer clear(b)
	temp := f.path() + ".new"
	if err := f.fs.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.fs.Create(temp)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(b, 0)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.fs.Rename(temp, f.path())
	}
	if err == nil {
		err = f.fs.SyncDir(f.dir)
	}
	return err
}

// save keeps the state, if it is kept at all.
func (s *Server) save() error {
	if s.store == nil {
		return nil
	}
	if err := s.store.save(s.state); err != nil {
		return fmt.Errorf("save the state of devkms: %w", err)
	}
	return nil
}
