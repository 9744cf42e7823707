package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// writeStream writes a source as a tar stream: the marker, the catalog, the
// log, the runs, and the index last, so that a stream that was cut is noticed.
func writeStream(ctx context.Context, src *backupSource, w io.Writer, o BackupOptions) (BackupReport, error) {
	report := BackupReport{Database: src.database, Generation: src.generation, Position: src.position}
	total := int64(len(src.catalog))
	for _, p := range src.parts {
		total += p.size
	}
	x, c, t := newIndex(src, 0), newCopier(src, o, total), tar.NewWriter(w)
	entry := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: x.Created, Format: tar.FormatPAX,
		})
	}
	whole := func(name string, b []byte, err error) error {
		if err == nil {
			err = entry(name, int64(len(b)))
		}
		if err == nil {
			_, err = t.Write(b)
		}
		return err
	}
	add := func(name string, size int64, sum string) {
		x.Files = append(x.Files, indexFile{Name: name, Size: size, SHA256: sum})
		report.Files++
		report.Bytes += size
	}
	b, err := newMarker(src.database).marshal()
	if err := whole(backupMarker, b, err); err != nil {
		return report, fmt.Errorf("write backup: %w", err)
	}
	size := int64(len(src.catalog))
	if err := entry(catalog.FileName, size); err != nil {
		return report, fmt.Errorf("write backup: %w", err)
	}
	sum, err := c.copy(ctx, t, bytes.NewReader(src.catalog), size)
	if err != nil {
		return report, fmt.Errorf("write backup: %w", err)
	}
	add(catalog.FileName, size, sum)
	for _, p := range src.parts {
		if err := entry(p.name, p.size); err != nil {
			return report, fmt.Errorf("write backup: %w", err)
		}
		sum, err := c.copyPart(ctx, t, p)
		if err != nil {
			return report, fmt.Errorf("write backup: %w", err)
		}
		add(p.name, p.size, sum)
	}
	if err := src.check(); err != nil { // it ends whole, or not at all
		return report, fmt.Errorf("write backup: %w", err)
	}
	b, err = x.marshal()
	if err := whole(backupIndex, b, err); err != nil {
		return report, fmt.Errorf("write backup: %w", err)
	}
	if err := t.Close(); err != nil {
		return report, fmt.Errorf("write backup: %w", err)
	}
	report.FilesCopied, report.BytesCopied = report.Files, report.Bytes
	return report, nil
}
