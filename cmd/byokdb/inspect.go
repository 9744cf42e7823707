package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/engine"
)

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect DIR|FILE",
		Short: "Show what a database's files say without the key",
		Long: `Show what is in the clear: versions, ids, epochs, sizes, the policy, wrapped keys, and
of a single log segment its frames. It needs no key and shows no customer data. What
is in the clear proves nothing until the file is opened with its key; see verify.
Exits with 3 when damage shows.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspect(cmd.Context(), cmd.OutOrStdout(), args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func inspect(ctx context.Context, w io.Writer, path string, asJSON bool) error {
	in, err := engine.Inspect(ctx, path)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(in)
	} else {
		err = printInspection(w, in)
	}
	if err != nil {
		return err
	}
	if n := len(in.Faults()); n > 0 {
		return reported{fmt.Errorf("%w: %d", errFaults, n)}
	}
	return nil
}

// printInspection writes tables for a person.
func printInspection(w io.Writer, in *engine.Inspection) error {
	if c := in.Catalog; c != nil {
		if err := printCatalog(w, c); err != nil {
			return err
		}
	}
	blank := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}
	rows := [][]any{}
	for _, f := range in.Files {
		note := f.Note
		if n := len(f.Faults); n > 0 {
			note = strconv.Itoa(n) + " faults"
		}
		rows = append(rows, []any{
			f.Path, string(f.Kind), f.Size, blank(uint64(f.Version)), f.Database, blank(f.Number), blank(f.Epoch),
			blank(uint64(f.PageSize)), blank(f.FirstFrame), blank(f.LastFrame), note,
		})
	}
	header := []string{"file", "kind", "size", "version", "database", "number", "epoch", "page", "first frame", "last frame", "note"}
	if err := printTable(w, header, rows); err != nil {
		return err
	}
	for _, f := range in.Files {
		if len(f.Frames) == 0 {
			continue
		}
		rows = rows[:0]
		for _, fr := range f.Frames {
			rows = append(rows, []any{strconv.FormatUint(fr.Number, 10), fr.Kind, fr.Offset, fr.Size})
		}
		fmt.Fprintln(w)
		if err := printTable(w, []string{"frame", "kind", "offset", "sealed size"}, rows); err != nil {
			return err
		}
	}
	printFaults(w, in.Faults())
	for _, n := range in.NotChecked {
		fmt.Fprintf(w, "not checked: %s\n", n)
	}
	return nil
}

func printCatalog(w io.Writer, c *engine.CatalogInfo) error {
	if c.Info != nil {
		if err := reportOfInfo(c.Info).write(w, false); err != nil {
			return err
		}
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", name, fmt.Sprintf(format, args...))
	}
	for _, e := range c.Envelopes {
		line("epoch", "%s of %s, wrapped by %s (%d bytes)", e.Epoch, stamp(e.Created), printable(e.KeyID), e.WrappedSize)
	}
	line("manifest", "generation %d, %d bytes sealed in epoch %s", c.Generation, c.ManifestSize, c.ManifestEpoch)
	line("journal", "%d entries", c.Journal)
	line("catalog", "%d of %d pages of %d bytes in use, transaction %d, %d records",
		c.PagesUsed, c.Pages, c.PageSize, c.Transaction, len(c.Records))
	fmt.Fprintln(w)
	return nil
}

func printTable(w io.Writer, header []string, rows [][]any) error {
	t, err := newRenderer("table", w, 0)
	if err != nil {
		return err
	}
	if err := t.header(header); err != nil {
		return err
	}
	for _, row := range rows {
		if err := t.row(row); err != nil {
			return err
		}
	}
	return t.finish()
}
