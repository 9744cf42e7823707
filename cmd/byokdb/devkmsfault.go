package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

func newDevKMSFault() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Let requests to a development KMS go wrong on purpose",
		Args:  rangeArgs(0, -1),
		RunE:  group,
	}
	cmd.AddCommand(newDevKMSFaultList(), newDevKMSFaultSet(), newDevKMSFaultClear())
	return cmd
}

func newDevKMSFaultList() *cobra.Command {
	cmd := &cobra.Command{Use: "list --endpoint URL", Short: "Print the rules, one line of JSON each", Args: exactArgs(0)}
	at := devKMSEndpoint(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		rules, err := admin.Faults(cmd.Context(), endpoint)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		for _, u := range rules {
			if err := enc.Encode(u); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

func newDevKMSFaultClear() *cobra.Command {
	cmd := &cobra.Command{Use: "clear --endpoint URL [ID]", Short: "Remove all rules, or one", Args: rangeArgs(0, 1)}
	at := devKMSEndpoint(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		return admin.RemoveFault(cmd.Context(), endpoint, strings.Join(args, ""))
	}
	return cmd
}

func newDevKMSFaultSet() *cobra.Command {
	var u devkms.Rule
	var latency, trickle time.Duration
	var cutAfter int
	cmd := &cobra.Command{
		Use:   "set --endpoint URL NAME",
		Short: "Add a rule and print its id",
		Long: `Add a rule and print its id. Of several rules the first that applies counts. NAME is
one of
  ` + strings.Join(devkms.FaultNames(), ", ") + `.
With none the answer is right, if late or cut. error takes --code and --status.`,
		Args: exactArgs(1),
	}
	at := devKMSEndpoint(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&u.Operations, "operation", nil, "only this operation, such as Decrypt; may be repeated")
	f.StringVar(&u.Key, "key", "", "only requests that use the key of this ARN")
	f.IntVar(&u.Times, "times", 0, "apply so many times; 0: until it is cleared")
	f.Float64Var(&u.Probability, "probability", 1, "apply by chance, above 0 and at most 1")
	f.Uint64Var(&u.Seed, "seed", 0, "of the chance")
	f.DurationVar(&latency, "latency", 0, "wait before anything else")
	f.IntVar(&cutAfter, "cut-after", 0, "break off after so many bytes of the body")
	f.DurationVar(&trickle, "trickle", 0, "wait between the bytes of the body")
	f.StringVar(&u.Code, "code", "", "error code, for the fault named error")
	f.IntVar(&u.Status, "status", 0, "HTTP status, for the fault named error (400)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		if err := u.Fault.UnmarshalText([]byte(args[0])); err != nil {
			return usagef("%v; see %s --help", err, cmd.CommandPath())
		}
		u.LatencyMS, u.TrickleMS = int(latency.Milliseconds()), int(trickle.Milliseconds())
		if cmd.Flags().Changed("cut-after") {
			u.CutAfter = &cutAfter
		}
		id, err := admin.AddFault(cmd.Context(), endpoint, u)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), id)
		return nil
	}
	return cmd
}
