package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// inspectReport is what inspect prints: clear parts only, no customer data.
type inspectReport struct {
	Catalog *report       `json:"catalog,omitempty"`
	Epochs  int           `json:"epochs,omitempty"`
	Files   []fileSummary `json:"files"`
}

// fileSummary is the clear part of one file.
type fileSummary struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"` // "run", "segment", "catalog" or "unknown"
	Size     int64  `json:"size"`
	Version  int    `json:"version,omitempty"`
	Database string `json:"database,omitempty"`
	Number   uint64 `json:"number,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
	PageSize int    `json:"page_size,omitempty"`
	Note     string `json:"note,omitempty"`
}

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect DIR|FILE",
		Short: "Show what a database's files say without the key",
		Long: `Show what is in the clear: versions, ids, epochs, sizes and the policy. It needs no
key and shows no customer data. What is in the clear proves nothing until the file
is opened with its key; see verify.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspect(cmd.OutOrStdout(), args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func inspect(w io.Writer, path string, asJSON bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	r := inspectReport{Files: []fileSummary{}}
	if info.IsDir() {
		stat, err := engine.Stat(path)
		if err != nil {
			return err
		}
		catalog := reportOfInfo(stat)
		r.Catalog, r.Epochs = &catalog, stat.Epochs
		if r.Files, err = inspectDir(path); err != nil {
			return err
		}
	} else {
		r.Files = append(r.Files, inspectFile(path, filepath.Base(path), info.Size()))
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	return r.print(w)
}

func inspectDir(dir string) ([]fileSummary, error) {
	files := []fileSummary{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files = append(files, inspectFile(path, name, info.Size()))
		return nil
	})
	return files, err
}

// inspectFile reads the clear header of one file.
func inspectFile(path, name string, size int64) fileSummary {
	s := fileSummary{Path: name, Kind: "unknown", Size: size}
	switch {
	case filepath.Base(name) == "catalog.bolt":
		s.Kind = "catalog"
		return s
	case strings.HasSuffix(name, ".wal"):
		s.segment(path)
		return s
	}
	h, err := pager.Inspect(vfs.OS(), path)
	if err != nil {
		if !errors.Is(err, pager.ErrNotRun) || strings.HasSuffix(name, ".run") {
			s.Kind, s.Note = "run", err.Error()
		}
		return s
	}
	s.Kind, s.Version, s.Database = "run", int(h.Version), h.Database.String()
	s.Number, s.Epoch, s.PageSize = h.RunID, uint64(h.Epoch), h.PageSize
	return s
}

// segmentMagic begins every log segment. Source: FORMAT.md, log segment.
const segmentMagic = "BYOKWAL\x00"

// segment reads the header of a log segment: magic (8 B), version (2 B),
// features (8 B), database id (16 B), segment number (8 B), epoch (4 B).
func (s *fileSummary) segment(path string) {
	s.Kind = "segment"
	f, err := os.Open(path) //nolint:gosec // the caller names the directory
	if err != nil {
		s.Note = "cannot be read"
		return
	}
	defer f.Close() //nolint:errcheck // only read
	b := make([]byte, 46)
	if _, err := io.ReadFull(f, b); err != nil || string(b[:8]) != segmentMagic {
		s.Note = "does not begin as a log segment; it may be preallocated and not used yet"
		return
	}
	var id crypt.ID
	copy(id[:], b[18:34])
	s.Version, s.Database = int(binary.BigEndian.Uint16(b[8:])), id.String()
	s.Number, s.Epoch = binary.BigEndian.Uint64(b[34:]), uint64(binary.BigEndian.Uint32(b[42:]))
}

func (r inspectReport) print(w io.Writer) error {
	if r.Catalog != nil {
		if err := r.Catalog.write(w, false); err != nil {
			return err
		}
		fmt.Fprintf(w, "%-12s%d data keys, each wrapped by the customer's key\n\n", "epochs", r.Epochs)
	}
	t, err := newRenderer("table", w, 0)
	if err != nil {
		return err
	}
	if err := t.header([]string{"file", "kind", "size", "version", "database", "number", "epoch", "page", "note"}); err != nil {
		return err
	}
	blank := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	for _, f := range r.Files {
		row := []any{
			f.Path, f.Kind, f.Size, blank(uint64(f.Version)), f.Database,
			blank(f.Number), blank(f.Epoch), blank(uint64(f.PageSize)), f.Note,
		}
		if err := t.row(row); err != nil {
			return err
		}
	}
	return t.finish()
}
