package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// FileKind tells what a file of a database is.
type FileKind string

// The kinds of files.
const (
	FileCatalog FileKind = "catalog"
	FileRun     FileKind = "run"
	FileSegment FileKind = "segment"
	FileOther   FileKind = "unknown"
)

// Inspection is what files show without the key. It holds no customer data, and
// what is in the clear proves nothing until it is opened: see [VerifyDir].
type Inspection struct {
	Catalog *CatalogInfo `json:"catalog,omitempty"` // nil when none can be read
	Files   []FileInfo   `json:"files"`

	NotChecked []string `json:"not_checked"`
}

// CatalogInfo is what a catalog shows.
type CatalogInfo struct {
	Info          *Info          `json:"info,omitempty"` // nil when the clear record is damaged
	Generation    uint64         `json:"generation"`     // as the manifest's clear header has it
	ManifestEpoch crypt.Epoch    `json:"manifest_epoch"`
	ManifestSize  int            `json:"manifest_size"` // sealed, in bytes
	Envelopes     []EnvelopeInfo `json:"envelopes"`
	Journal       int            `json:"journal_entries"`
	PageSize      int            `json:"page_size"` // of bbolt
	Pages         int            `json:"pages"`
	PagesUsed     int            `json:"pages_used"`
	Transaction   uint64         `json:"transaction"` // bbolt's last
	Records       []RecordInfo   `json:"records"`
}

// EnvelopeInfo is what an envelope shows. A wrapped DEK is no secret without the KEK.
type EnvelopeInfo struct {
	Epoch       crypt.Epoch `json:"epoch"`
	Created     time.Time   `json:"created"`
	KeyID       string      `json:"key_id"`
	MaterialID  string      `json:"material_id,omitempty"`
	WrappedSize int         `json:"wrapped_size"` // in bytes
}

// RecordInfo names a stored record of the catalog.
type RecordInfo struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Size   int    `json:"size"` // in bytes
}

// FileInfo is what one file shows.
type FileInfo struct {
	Path       string      `json:"path"` // as given, or below the directory
	Kind       FileKind    `json:"kind"`
	Size       int64       `json:"size"`
	Version    int         `json:"version,omitempty"`
	Database   string      `json:"database,omitempty"`
	Number     uint64      `json:"number,omitempty"`
	Epoch      uint64      `json:"epoch,omitempty"`
	PageSize   int         `json:"page_size,omitempty"`
	FirstFrame uint64      `json:"first_frame,omitempty"`
	LastFrame  uint64      `json:"last_frame,omitempty"` // 0 when there is none
	FramesEnd  int64       `json:"frames_end,omitempty"` // offset behind the last frame
	Stray      int         `json:"stray_frames,omitempty"`
	Frames     []FrameInfo `json:"frames,omitempty"` // when a single segment is inspected
	Note       string      `json:"note,omitempty"`
	Faults     []Fault     `json:"faults,omitempty"`
}

// FrameInfo is what the header of a frame shows.
type FrameInfo struct {
	Number uint64 `json:"number"`
	Kind   string `json:"kind"` // "data" or "end"
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"` // of the sealed content, in bytes
}

// notSealed is what an inspection does not check.
const notSealed = "everything that is sealed, and whether what is in the clear is genuine: see verify"

// Faults returns the faults of all files.
func (i *Inspection) Faults() []Fault {
	var out []Fault
	for _, f := range i.Files {
		out = append(out, f.Faults...)
	}
	return out
}

// Inspect shows what a database's directory, or one file of it, says without the
// key: structure, sizes, counts, the list of a segment's frames, and damage that
// shows without the key. It changes nothing and takes no lock: beside a writer
// it may see a moment between two writes.
//
// Errors: ErrNotExist when there is nothing at path; ErrNotDatabase when the
// directory holds nothing of a database; ctx's; the file system's.
func Inspect(ctx context.Context, path string) (*Inspection, error) {
	in := &inspector{ctx: ctx, fs: vfs.OS(), out: &Inspection{Files: []FileInfo{}, NotChecked: []string{notSealed}}}
	names, err := in.fs.List(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, ErrNotExist)
	case err == nil:
		return in.out, in.directory(path, names)
	}
	f, err := in.file(path, filepath.Base(path), true)
	if err != nil {
		return nil, err
	}
	if f.Kind == FileCatalog {
		in.catalog(filepath.Dir(path), &f)
	}
	in.out.Files = append(in.out.Files, f)
	return in.out, nil
}

// inspector is one Inspect under way.
type inspector struct {
	ctx context.Context // lives as long as one call
	fs  vfs.FS
	out *Inspection
}

func (in *inspector) directory(dir string, names []string) error {
	ours := false
	for _, name := range names {
		if name == catalog.FileName || name == walDir || name == runDir {
			ours = true
		}
		below, err := in.fs.List(filepath.Join(dir, name))
		if err != nil { // a file
			below = []string{""}
		}
		for _, b := range below {
			if err := in.ctx.Err(); err != nil {
				return err
			}
			f, err := in.file(filepath.Join(dir, name, b), filepath.ToSlash(filepath.Join(name, b)), false)
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return err
			}
			if f.Kind == FileCatalog {
				in.catalog(dir, &f)
			}
			in.out.Files = append(in.out.Files, f)
		}
	}
	if !ours {
		return fmt.Errorf("%s: %w", dir, ErrNotDatabase)
	}
	if in.out.Catalog == nil && !in.has(FileCatalog) {
		f := FileInfo{Path: catalog.FileName, Kind: FileCatalog}
		f.fault("catalog", fmt.Errorf("%w: the catalog is missing", ErrCorrupt))
		in.out.Files = append(in.out.Files, f)
	}
	in.relate()
	return nil
}

func (in *inspector) has(kind FileKind) bool {
	for _, f := range in.out.Files {
		if f.Kind == kind {
			return true
		}
	}
	return false
}

// relate checks files against each other and against the catalog.
func (in *inspector) relate() {
	want := ""
	if c := in.out.Catalog; c != nil && c.Info != nil {
		want = c.Info.Database.String()
	}
	var last *FileInfo // segment before
	for i := range in.out.Files {
		f := &in.out.Files[i]
		if want != "" && f.Database != "" && f.Database != want {
			f.fault(string(f.Kind), fmt.Errorf("%w: it belongs to database %s", ErrCorrupt, f.Database))
		}
		if f.Kind != FileSegment || len(f.Faults) > 0 {
			continue
		}
		switch {
		case last == nil:
		case f.Number != last.Number+1:
			f.fault("log", fmt.Errorf("%w: it follows segment %d", ErrCorrupt, last.Number))
		case f.FirstFrame != last.next():
			f.fault("log", fmt.Errorf("%w: it begins with frame %d, and the segment before ends before %d", ErrCorrupt, f.FirstFrame, last.next()))
		}
		last = f
	}
}

// next returns the number of the frame that follows a segment's.
func (f *FileInfo) next() uint64 {
	if f.LastFrame == 0 {
		return f.FirstFrame
	}
	return f.LastFrame + 1
}

func (f *FileInfo) fault(part string, err error) {
	f.Faults = append(f.Faults, Fault{Part: part, Err: translate(err)})
}

// file reads the clear parts of one file. frames asks for the list of frames.
func (in *inspector) file(path, name string, frames bool) (f FileInfo, err error) {
	f = FileInfo{Path: name, Kind: FileOther}
	file, err := in.fs.Open(path)
	if err != nil {
		return f, err
	}
	f.Size, err = file.Size()
	if err = errors.Join(err, file.Close()); err != nil {
		return f, err
	}
	base := filepath.Base(path)
	switch {
	case base == catalog.FileName:
		f.Kind = FileCatalog
	case base == catalog.TempName:
		f.Note = "a catalog that was never finished, or is being made"
	case strings.HasSuffix(base, ".wal"):
		return f, in.segment(path, &f, frames)
	case strings.HasSuffix(base, ".wal.tmp"), strings.HasSuffix(base, ".wal.free"):
		f.Note = "a segment in the making, or to be used again"
	case strings.HasPrefix(name, spillDir+"/") && strings.HasSuffix(base, spillEnd):
		f.Note = "a temporary file of a transaction under way, or of a process that has ended; nobody else can read it"
	default:
		in.run(path, &f)
	}
	return f, nil
}

func (in *inspector) run(path string, f *FileInfo) {
	h, err := pager.Inspect(in.fs, path)
	if err != nil {
		if named := strings.HasSuffix(path, ".run"); named || !errors.Is(err, pager.ErrNotRun) {
			f.Kind = FileRun
			f.fault("run", err)
		}
		return
	}
	f.Kind, f.Version, f.Database = FileRun, int(h.Version), h.Database.String()
	f.Number, f.Epoch, f.PageSize = h.RunID, uint64(h.Epoch), h.PageSize
	if strings.HasSuffix(path, ".run") && filepath.Base(path) != runName(h.RunID) {
		f.fault("run", fmt.Errorf("%w: its header says that it is run %d", ErrCorrupt, h.RunID))
	}
}

func (in *inspector) segment(path string, f *FileInfo, frames bool) error {
	f.Kind = FileSegment
	s, err := wal.InspectSegment(in.ctx, in.fs, path)
	if in.ctx.Err() != nil {
		return in.ctx.Err()
	}
	if err != nil {
		f.fault("log", err)
		return nil
	}
	f.Version, f.Database, f.Number, f.Epoch = int(s.Version), s.Database.String(), s.Segment, uint64(s.Epoch)
	f.FirstFrame, f.FramesEnd, f.Stray = s.FirstFrame, s.End, s.Stray
	if n := len(s.Frames); n > 0 {
		f.LastFrame = s.Frames[n-1].Number
	}
	if f.Note = strconv.Itoa(len(s.Frames)) + " frames"; s.Stray > 0 {
		f.Note += fmt.Sprintf("; %d behind the end: a crash leaves such, or damage", s.Stray)
	}
	if n, ok := segmentNumber(filepath.Base(path)); !ok || n != s.Segment {
		f.fault("log", fmt.Errorf("%w: its header says that it is segment %d", ErrCorrupt, s.Segment))
	}
	for _, err := range s.Faults {
		f.fault("log", err)
	}
	if !frames {
		return nil
	}
	for _, fr := range s.Frames {
		f.Frames = append(f.Frames, FrameInfo{Number: fr.Number, Kind: fr.Kind, Offset: fr.Offset, Size: fr.Size})
	}
	return nil
}

// catalog reads the records that are in the clear.
func (in *inspector) catalog(dir string, f *FileInfo) {
	c, err := catalog.Salvage(vfs.OS(), dir)
	if err != nil {
		f.fault("catalog", err)
		return
	}
	for _, err := range c.Faults {
		f.fault("catalog", err)
	}
	out := &CatalogInfo{
		Envelopes: []EnvelopeInfo{}, Journal: len(c.Journal), PageSize: c.PageSize, Pages: c.Pages, PagesUsed: c.Used,
		Transaction: c.Txid, Records: []RecordInfo{},
	}
	in.out.Catalog = out
	if c.HasClear {
		f.Version, f.Database = int(c.Clear.FormatVersion), c.Clear.Database.String()
		i, err := infoOfContents(dir, &c.Contents)
		if err != nil && len(c.Faults) == 0 {
			f.fault("catalog", err)
		}
		out.Info = i
	}
	if c.Manifest != nil {
		m, err := catalog.InspectManifest(c.Manifest)
		if err == nil && m.Database != c.Clear.Database && c.HasClear {
			err = fmt.Errorf("%w: the manifest belongs to database %s", ErrCorrupt, m.Database)
		}
		if err != nil {
			f.fault("manifest", err)
		}
		out.Generation, out.ManifestEpoch, out.ManifestSize = m.Generation, m.Epoch, len(c.Manifest)
	}
	for _, e := range c.Envelopes {
		out.Envelopes = append(out.Envelopes, EnvelopeInfo{
			Epoch: e.Epoch, Created: e.Created, KeyID: e.KeyID, MaterialID: e.Wrapped.MaterialID, WrappedSize: len(e.Wrapped.Bytes),
		})
	}
	for _, r := range c.Records {
		out.Records = append(out.Records, RecordInfo(r))
	}
}

// infoOfContents returns what a catalog's records say. With an error it holds
// what could be read. Errors: ErrCorrupt.
func infoOfContents(dir string, c *catalog.Contents) (*Info, error) {
	i := &Info{
		Dir: dir, Database: c.Clear.Database, FormatVersion: int(c.Clear.FormatVersion), Created: c.Clear.Created,
		KeyID: c.Clear.KeyID, KeyURI: c.Clear.KeyURI, Development: c.Clear.Development, Epochs: len(c.Envelopes),
	}
	var faults []error
	if err := i.Policy.UnmarshalBinary(c.Clear.Policy); err != nil {
		faults = append(faults, err)
	}
	var r guard.Record
	if err := r.UnmarshalBinary(c.Guard); err != nil {
		faults = append(faults, err)
	}
	i.State, i.Class, i.Message = r.State, r.Class, r.Message
	i.UnavailableSince, i.LastGood = r.UnavailableSince, r.LastGood
	i.RequestID, i.FirstDenied, i.FirstDeniedID, i.DeniedFor = r.RequestID, r.FirstDenied, r.FirstDeniedID, r.DeniedFor
	if t := c.Tombstone; t != nil {
		i.State, i.Erased, i.Message = Erased, t.Erased, t.Reason
		i.RequestID, i.FirstDenied, i.FirstDeniedID, i.DeniedFor = t.LastID, t.FirstDenied, t.FirstID, t.DeniedFor
	}
	if len(faults) > 0 {
		return i, translate(fmt.Errorf("%s: %w", dir, refusal(errors.Join(faults...))))
	}
	return i, nil
}
