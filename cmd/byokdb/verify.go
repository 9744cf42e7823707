package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// verifyReport is what verify --json prints.
type verifyReport struct {
	OK bool `json:"ok"`
	engine.VerifyReport
}

func newVerify() *cobra.Command {
	var asJSON bool
	var uri string
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Open every page and say what is damaged",
		Long: `Open every page and frame of the database, check what hangs together, and read every
record. Nothing is changed, and nobody may have the database open. It goes on past
faults: a database that does not open gets the whole list. Exits with 3 when there
are faults.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verify(cmd.Context(), cmd.OutOrStdout(), args[0], uri, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	cmd.Flags().StringVar(&uri, "key", "", "key URI, where the catalog's is lost (default: the catalog's)")
	return cmd
}

func verify(ctx context.Context, w io.Writer, dir, uri string, asJSON bool) (err error) {
	key, err := keyOf(ctx, dir, uri)
	if err != nil {
		return err
	}
	if key != nil {
		defer func() { err = errors.Join(err, key.Close()) }()
	}
	found, err := engine.VerifyDir(ctx, dir, key, &engine.Options{MinPosition: minPositionOf(ctx)})
	if err != nil && len(found.Faults) == 0 {
		return err // not a fault of the files
	}
	r := verifyReport{OK: err == nil, VerifyReport: found}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		r.print(w)
	}
	if !r.OK {
		return reported{fmt.Errorf("%w: %d", errFaults, len(r.Faults))}
	}
	return nil
}

// keyOf opens the key that a catalog names, or uri; nil when the catalog is too
// damaged to name one.
func keyOf(ctx context.Context, dir, uri string) (crypt.Provider, error) {
	if uri == "" {
		in, err := engine.Inspect(ctx, filepath.Join(dir, "catalog.bolt"))
		if errors.Is(err, engine.ErrNotExist) || err == nil && (in.Catalog == nil || in.Catalog.Info == nil) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if in.Catalog.Info.State == engine.Erased {
			return nil, fmt.Errorf("%s: %w", dir, engine.ErrErased)
		}
		uri = in.Catalog.Info.KeyURI
	}
	key, err := keyuri.Open(ctx, uri)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return key, nil
}

// print writes the report for a person.
func (r verifyReport) print(w io.Writer) {
	verdict := "ok"
	if !r.OK {
		verdict = "read"
	}
	fmt.Fprintf(w, "%s: %d runs with %d pages, %d log segments with %d frames, %d records in %d collections, %d journal entries, %s\n",
		verdict, r.Runs, r.Pages, r.Segments, r.Frames, r.Records, r.Collections, r.Journal, sizeText(r.Bytes))
	printFaults(w, r.Faults)
	if r.MoreFaults > 0 {
		fmt.Fprintf(w, "fault: and %d more\n", r.MoreFaults)
	}
	if r.Unread > 0 {
		fmt.Fprintf(w, "not read because of faults: %s\n", sizeText(r.Unread))
	}
	if r.Garbage > 0 {
		fmt.Fprintf(w, "note: %d entries of dropped collections; compaction removes them\n", r.Garbage)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", printable(n))
	}
	for _, n := range r.NotChecked {
		fmt.Fprintf(w, "not checked: %s\n", printable(n))
	}
}

// printFaults writes one line for each fault.
func printFaults(w io.Writer, faults []engine.Fault) {
	for _, f := range faults {
		fmt.Fprintf(w, "fault: %s\n", printable(strings.ReplaceAll(f.Error(), "\n", "; ")))
	}
}
