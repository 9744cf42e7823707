package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Look after the database's key", Args: rangeArgs(0, -1), RunE: group}
	cmd.AddCommand(&cobra.Command{
		Use:   "probe DIR",
		Short: "Unwrap the data key at the KMS and compare",
		Long:  "Open the database, which unwraps its data key, and probe the key once more. Exits with 4 when the key is unavailable.",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withDatabase(ctx, args[0], func(d *database) error {
				begin := time.Now()
				if err := d.eng.ProbeKey(ctx); err != nil {
					return err
				}
				took := time.Since(begin)
				fmt.Fprintf(cmd.OutOrStdout(), "key available, answered in %v: %s\n",
					took.Round(10*time.Microsecond), keyLabel(d.key.KeyID(), d.key.Development()))
				return nil
			})
		},
	}, newKeyRotate(), newKeyRewrap(), newKeyURI())
	return cmd
}
