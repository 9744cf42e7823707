package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

func newDevKMS() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devkms",
		Short: "A KMS for development, on this machine only",
		Long: `A small server that speaks the AWS KMS protocol, for trying byokdb without an AWS
account. It checks no signatures and protects nothing: never use it for real data.`,
		Args: rangeArgs(0, -1),
		RunE: group,
	}
	cmd.AddCommand(
		newDevKMSServe(),
		newDevKMSChange("disable", "Disable a key, as a customer would", admin.Disable),
		newDevKMSChange("enable", "Enable a key", admin.Enable),
		newDevKMSChange("schedule-deletion", "Let a key be deleted later; it stops working now", admin.ScheduleDeletion),
		newDevKMSChange("cancel-deletion", "Keep a key that was to be deleted; it is disabled then", admin.CancelDeletion),
		newDevKMSChange("rotate", "Give a key new material, as KMS does when it rotates one", admin.Rotate),
		newDevKMSCreate(), newDevKMSReplicate(), newDevKMSPolicy(), newDevKMSFault(),
	)
	return cmd
}

func newDevKMSServe() *cobra.Command {
	var listen, data string
	var delay time.Duration
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve until interrupted",
		Long: `Serve until interrupted. Prints one line of JSON with the endpoint and the ARN of a
key, made when there is none. Without --data the keys are gone at the end.`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveDevKMS(cmd, listen, data, delay)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "loopback address to listen on")
	cmd.Flags().StringVar(&data, "data", "", "directory to keep the keys in; memory only without it")
	cmd.Flags().DurationVar(&delay, "consistency-delay", 0, "for so long after a change of a key, answers show it at random, as at AWS")
	return cmd
}

// devKMSLine is what devkms serve prints for programs.
type devKMSLine struct {
	Endpoint string `json:"endpoint"`
	KeyARN   string `json:"key_arn"`
	KeyURI   string `json:"key_uri"` // for init --key
}

func serveDevKMS(cmd *cobra.Command, listen, data string, delay time.Duration) error {
	server, err := devkms.New(data)
	if err != nil {
		return err
	}
	if err := server.SetConsistency(devkms.Consistency{Delay: delay, Odd: true}); err != nil {
		return usagef("--consistency-delay: %v", err)
	}
	var arn string
	if keys := server.Keys(); len(keys) > 0 {
		arn = keys[0]
	} else if arn, err = server.CreateKey(); err != nil {
		return err
	}
	l, err := devkms.Listen(listen)
	if err != nil {
		return err
	}
	endpoint := devkms.Endpoint(l)
	line := devKMSLine{Endpoint: endpoint, KeyARN: arn, KeyURI: devKeyURI(endpoint, arn)}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetEscapeHTML(false)
	if err := enc.Encode(line); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "byokdb: this KMS is for development and protects nothing; Ctrl-C ends it")
	return server.Serve(cmd.Context(), l)
}

// devKeyURI returns the URI of a key at a development KMS.
func devKeyURI(endpoint, arn string) string { return "awskms:" + arn + "?endpoint=" + endpoint }

// devKMSEndpoint adds the flag that says which development KMS is meant, and
// returns how to read it.
func devKMSEndpoint(cmd *cobra.Command) func() (string, error) {
	endpoint := cmd.Flags().String("endpoint", "", "the development KMS's URL; loopback addresses only")
	return func() (string, error) {
		if *endpoint == "" {
			return "", usagef("%s needs --endpoint URL, as devkms serve prints it", cmd.CommandPath())
		}
		return *endpoint, nil
	}
}

func newDevKMSChange(name, short string, change func(ctx context.Context, endpoint, arn string) error) *cobra.Command {
	cmd := &cobra.Command{Use: name + " --endpoint URL ARN", Short: short, Args: exactArgs(1)}
	at := devKMSEndpoint(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		return change(cmd.Context(), endpoint, args[0])
	}
	return cmd
}

func newDevKMSCreate() *cobra.Command {
	cmd := &cobra.Command{Use: "create --endpoint URL", Short: "Make another key and print its ARN", Args: exactArgs(0)}
	at := devKMSEndpoint(cmd)
	multi := cmd.Flags().Bool("multi-region", false, "a multi-Region primary key, which can be replicated")
	region := cmd.Flags().String("region", devkms.Region, "region of the key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		arn, err := admin.CreateKey(cmd.Context(), endpoint, *region, *multi)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), arn)
		return nil
	}
	return cmd
}

func newDevKMSReplicate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replicate --endpoint URL --region REGION ARN",
		Short: "Make a replica of a multi-Region key in another region and print its ARN",
		Args:  exactArgs(1),
	}
	at := devKMSEndpoint(cmd)
	region := cmd.Flags().String("region", "", "region of the replica")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := at()
		switch {
		case err != nil:
			return err
		case *region == "":
			return usagef("%s needs --region", cmd.CommandPath())
		}
		arn, err := admin.Replicate(cmd.Context(), endpoint, args[0], *region)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), arn)
		return nil
	}
	return cmd
}

const policySizeMax = 32 << 10 // bytes, as KMS has it

func newDevKMSPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy --endpoint URL ARN FILE|-",
		Short: "Replace a key's policy",
		Long: `Replace a key's policy with that in FILE, or on standard input. devkms obeys the
statements that deny, also those on StringEquals of kms:EncryptionContext:NAME; all
that is not denied is allowed.`,
		Args: exactArgs(2),
	}
	at := devKMSEndpoint(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		endpoint, err := at()
		if err != nil {
			return err
		}
		in := cmd.InOrStdin()
		if args[1] != "-" {
			file, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }() // it was only read
			in = file
		}
		policy, err := io.ReadAll(io.LimitReader(in, policySizeMax+1))
		switch {
		case err != nil:
			return fmt.Errorf("read the policy: %w", err)
		case len(policy) > policySizeMax:
			return fmt.Errorf("the policy has more than %d bytes", policySizeMax)
		}
		return admin.SetPolicy(cmd.Context(), endpoint, args[0], string(policy))
	}
	return cmd
}
