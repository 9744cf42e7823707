package wal

import (
	"context"
	"fmt"

	"github.com/byokdb/byokdb/internal/vfs"
)

// FrameInfo is what the clear header of a frame says.
type FrameInfo struct {
	Offset int64 // in the file, in bytes
	Number uint64
	Size   int64  // of the sealed content, in bytes
	Kind   string // "data" or "end"
}

// SegmentInfo is what a segment shows without its key.
type SegmentInfo struct {
	HeaderInfo
	Frames []FrameInfo
	End    int64 // offset in bytes behind the last of Frames, aligned

	// Stray is the number of headers of this segment's frames behind End: a
	// crash leaves such, and so does damage. Only the key can tell which.
	Stray int

	// Faults are what is wrong with the clear parts.
	Faults []error
}

// InspectSegment returns the header of a segment and the list of its frames. It
// needs no key and shows no customer data; that sealed contents open is not
// checked. Errors: as of [Inspect]; ctx's.
func InspectSegment(ctx context.Context, fs vfs.FS, path string) (info SegmentInfo, err error) {
	if info.HeaderInfo, err = Inspect(fs, path); err != nil {
		return info, err
	}
	f, err := fs.Open(path)
	if err != nil {
		return info, fmt.Errorf("inspect segment: %w", err)
	}
	r := reader{path: path, file: f, size: info.FileSize} // without a key it opens nothing
	defer r.close()
	h, _, err := readHeader(f, path)
	if err != nil {
		return info, err
	}
	r.head, r.seed, info.End = h, seedOf(h.salt), headerSize
	next := h.first
	for off := int64(headerSize); off+frameOverhead <= r.size; {
		if err := ctx.Err(); err != nil {
			return info, err
		}
		b, err := r.window(off, frameHeaderSize)
		if err != nil {
			return info, r.fault(off, next, err)
		}
		var fh frameHeader
		if !fh.unmarshal(b, r.seed) {
			off += frameAlign
			continue
		}
		end := alignUp(off + frameHeaderSize + int64(fh.size))
		fits := int64(fh.size) <= r.size-off-frameHeaderSize
		if off != info.End { // behind a hole
			info.Stray++
			if off += frameAlign; fits {
				off = end
			}
			continue
		}
		if !fits || fh.number != next {
			what := "its header names another frame"
			if !fits {
				what = "it is cut short"
			}
			info.Faults = append(info.Faults, r.fault(off, next, corrupt(what)))
			off += frameAlign
			continue
		}
		info.Frames = append(info.Frames, FrameInfo{Offset: off, Number: fh.number, Size: int64(fh.size), Kind: fh.name()})
		info.End, off, next = end, end, next+1
	}
	return info, nil
}

// name returns the word for a frame's kind.
func (h frameHeader) name() string {
	if h.kind == frameEnd {
		return "end"
	}
	return "data"
}
