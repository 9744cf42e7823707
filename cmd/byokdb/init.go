package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// shortDeadline is the deadline below which init warns.
const shortDeadline = time.Minute

func newInit() *cobra.Command {
	var uri, onDeadline string
	var p engine.Policy
	cmd := &cobra.Command{
		Use:   "init DIR --key URI",
		Short: "Make a database bound to a customer's key",
		Long: `Make a database in DIR, bound for life to one customer key, and fix its policy.
Zero durations take the defaults. The key's URI is kept in the database; it holds
nothing secret.`,
		Example: "  byokdb init orders.byok --key awskms:arn:aws:kms:eu-west-1:111122223333:key/…\n" +
			"  byokdb init try.byok --key local:dev.key",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if uri == "" {
				return usagef("init needs --key URI (awskms:ARN, or local:PATH for development)")
			}
			switch onDeadline {
			case "pause":
			case "erase":
				p.OnDeadline = engine.Erase
			default:
				return usagef("--on-deadline is pause or erase, not %q", onDeadline)
			}
			for _, d := range []time.Duration{p.ProbeInterval, p.ProbeTimeout, p.Deadline, p.UnreachableGrace} {
				if d < 0 {
					return usagef("a duration cannot be negative")
				}
			}
			return initDir(cmd, args[0], uri, p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&uri, "key", "", "the customer's key: awskms:ARN[?…] or local:PATH")
	f.DurationVar(&p.ProbeInterval, "probe-interval", 0, "time between probes of the key (default 1m)")
	f.DurationVar(&p.ProbeTimeout, "probe-timeout", 0, "time a probe may take (default 10s)")
	f.DurationVar(&p.Deadline, "deadline", 0, "time without the key until memory is wiped, 1s to 720h (default 4h)")
	f.DurationVar(&p.UnreachableGrace, "unreachable-grace", 0, "time to serve on while the KMS cannot be reached, up to 1h (default 0)")
	f.StringVar(&onDeadline, "on-deadline", "pause", "what else happens at the deadline: pause, or erase all data for good after denials")
	return cmd
}

func initDir(cmd *cobra.Command, dir, uri string, p engine.Policy) (err error) {
	ctx := cmd.Context()
	key, err := keyuri.Open(ctx, uri)
	if err != nil {
		return fmt.Errorf("open key: %w", err)
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	db, err := engine.Open(ctx, dir, key, &engine.Options{MustCreate: true, Policy: p})
	if err != nil {
		return err
	}
	st := db.Status()
	if err := db.Close(); err != nil {
		return err
	}
	if d := st.Key.Policy.Deadline; d > 0 && d < shortDeadline {
		fmt.Fprintf(cmd.ErrOrStderr(), "byokdb: warning: with a deadline of %v, memory is wiped after a short outage\n", d)
	}
	if st.Key.Policy.OnDeadline == engine.Erase {
		fmt.Fprintf(cmd.ErrOrStderr(), "byokdb: warning: all data is erased for good after %v of denials by the key's owner\n", st.Key.Policy.Deadline)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "database  %s\n", st.Database)
	fmt.Fprintf(out, "key       %s\n", keyLabel(st.Key.KeyID, st.Key.Development))
	fmt.Fprintf(out, "bound     %v from the key's refusal to the database's\n", st.Key.Bound)
	fmt.Fprintf(out, "deadline  %v, then %s\n", st.Key.Policy.Deadline, deadlineWord(st.Key.Policy.OnDeadline))
	return nil
}

// deadlineWord says what happens at the deadline.
func deadlineWord(o engine.OnDeadline) string {
	if o == engine.Erase {
		return "memory is wiped and, after denials, the data erased for good"
	}
	return "memory is wiped"
}
