package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

func newKeyRotate() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "rotate DIR",
		Short: "Make a new data key and seal everything under it",
		Long: `Make a new data key, which seals everything from then on, and seal the older files
anew: the whole database is read and written once. Then the older data key is
destroyed in the catalog. Interrupted, it goes on when the database is opened next.
Backups made before keep the data key that they need.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(cmd.Context(), args[0], func(d *database) error {
				return rotateKey(cmd.Context(), d.eng, cmd.OutOrStdout(), cmd.ErrOrStderr(), noWait)
			})
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "leave older files to whoever opens the database next")
	return cmd
}

// rotateKey rotates, and waits for the end unless it is told not to.
func rotateKey(ctx context.Context, db *engine.DB, out, errOut io.Writer, noWait bool) error {
	if noWait {
		db.PauseRotation()
	}
	begin := time.Now()
	if err := db.RotateKey(ctx); err != nil {
		return err
	}
	st := db.Status().Rotation
	fmt.Fprintf(out, "data key %s seals new files\n", st.Epoch)
	if noWait {
		fmt.Fprintf(out, "%d older files, %s, are sealed anew when the database is open\n", st.Files, sizeText(st.Bytes))
		return nil
	}
	if err := awaitRotation(ctx, db, errOut, begin); err != nil {
		return err
	}
	fmt.Fprintf(out, "everything is sealed under it, and the older data keys are destroyed, after %v\n",
		time.Since(begin).Round(time.Millisecond))
	return nil
}

// awaitRotation waits for the end of a rotation and shows how far it is.
func awaitRotation(ctx context.Context, db *engine.DB, errOut io.Writer, begin time.Time) error {
	done := make(chan error, 1)
	go func() { done <- db.AwaitRotation(ctx) }()
	show, clearLine := byteProgress(errOut, begin)
	defer clearLine()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	most := int64(1)
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			left := db.Status().Rotation.Bytes
			if most = max(most, left); show != nil {
				show(most-left, most)
			}
		}
	}
}

func newKeyRewrap() *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap DIR",
		Short: "Have the KMS wrap the data key anew",
		Long: `Have the KMS wrap the data key anew with the newest material of the customer's key.
The data key and the data stay as they are. An open database does this by itself within
hours of a rotation of the KMS's key material.`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDatabase(cmd.Context(), args[0], func(d *database) error {
				if err := d.eng.Rewrap(cmd.Context()); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "data key wrapped anew")
				return nil
			})
		},
	}
}

func newKeyURI() *cobra.Command {
	return &cobra.Command{
		Use:   "uri DIR URI",
		Short: "Reach the same key in another way from now on",
		Long: `Open the database by another URI of the same key, and remember that one: to add or drop
replicas, or when the role, the external id or the endpoint changes. A database belongs
to its key for life: the URI of another key is refused.`,
		Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			key, err := keyuri.Open(ctx, args[1])
			if err != nil {
				return fmt.Errorf("open key: %w", err)
			}
			defer func() { err = errors.Join(err, key.Close()) }()
			db, err := engine.Open(ctx, args[0], key, &engine.Options{MustExist: true, MinPosition: minPositionOf(ctx)})
			if err != nil {
				return err
			}
			if err := errors.Join(db.RememberKeyURI(ctx), db.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "opened by %s from now on\n", printable(key.URI()))
			return nil
		},
	}
}
