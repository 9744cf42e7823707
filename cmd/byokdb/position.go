package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/engine"
)

// minPosition is the key under which a context carries the position that a
// database must have reached.
type minPosition struct{}

func minPositionOf(ctx context.Context) engine.Position {
	p, _ := ctx.Value(minPosition{}).(engine.Position)
	return p
}

// withMinPosition gives the command, or the commands below it, the flag
// --min-position. Only commands that open a database have it: none accepts it
// and does nothing with it.
func withMinPosition(cmd *cobra.Command) *cobra.Command {
	if below := cmd.Commands(); len(below) > 0 {
		for _, c := range below {
			withMinPosition(c)
		}
		return cmd
	}
	var p engine.Position
	cmd.Flags().TextVar(&p, "min-position", engine.Position{},
		"refuse a database older than this position; status prints positions")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		cmd.SetContext(context.WithValue(cmd.Context(), minPosition{}, p))
	}
	return cmd
}
