package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/engine"
)

// verifyReport is what verify --json prints.
type verifyReport struct {
	OK bool `json:"ok"`
	engine.VerifyReport
	Faults []string `json:"faults"`
}

func newVerify() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Open every page and say what is damaged",
		Long:  "Open every page and frame of the database and check them. Exits with 3 when there are faults.",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return verify(cmd, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func verify(cmd *cobra.Command, dir string, asJSON bool) error {
	ctx := cmd.Context()
	r := verifyReport{Faults: []string{}}
	d, err := openDir(ctx, dir)
	if err == nil {
		r.VerifyReport, err = d.eng.VerifyReport(ctx)
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil && !errors.Is(err, engine.ErrCorrupt) {
		return err // not a fault of the files
	}
	r.OK = err == nil
	if err != nil {
		r.Faults = strings.Split(err.Error(), "\n")
	}
	out := cmd.OutOrStdout()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			return err
		}
	} else {
		r.print(out.Write)
	}
	if !r.OK {
		return reported{fmt.Errorf("%w: %d", errFaults, len(r.Faults))}
	}
	return nil
}

// print writes the report for a person through write.
func (r verifyReport) print(write func(p []byte) (int, error)) {
	var b strings.Builder
	if r.OK {
		fmt.Fprintf(&b, "ok: %d runs with %d pages, %d log segments with %d frames, %d records in %d collections, %d journal entries, %s\n",
			r.Runs, r.Pages, r.Segments, r.Frames, r.Records, r.Collections, r.Journal, sizeText(r.Bytes))
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "fault: %s\n", printable(f))
	}
	for _, n := range r.NotChecked {
		fmt.Fprintf(&b, "not checked: %s\n", printable(n))
	}
	_, _ = write([]byte(b.String())) // a broken stdout has nowhere to be reported
}
