package main

import (
	"context"
	"encoding/json"
	"fmt"

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
	)
	return cmd
}

func newDevKMSServe() *cobra.Command {
	var listen, data string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve until interrupted",
		Long: `Serve until interrupted. Prints one line of JSON with the endpoint and the ARN of a
key, made when there is none. Without --data the keys are gone at the end.`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveDevKMS(cmd, listen, data)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "loopback address to listen on")
	cmd.Flags().StringVar(&data, "data", "", "directory to keep the keys in; memory only without it")
	return cmd
}

// devKMSLine is what devkms serve prints for programs.
type devKMSLine struct {
	Endpoint string `json:"endpoint"`
	KeyARN   string `json:"key_arn"`
	KeyURI   string `json:"key_uri"` // for init --key
}

func serveDevKMS(cmd *cobra.Command, listen, data string) error {
	server, err := devkms.New(data)
	if err != nil {
		return err
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

func newDevKMSChange(name, short string, change func(ctx context.Context, endpoint, arn string) error) *cobra.Command {
	var endpoint string
	cmd := &cobra.Command{
		Use:   name + " --endpoint URL ARN",
		Short: short,
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if endpoint == "" {
				return usagef("%s needs --endpoint URL, as devkms serve prints it", cmd.CommandPath())
			}
			return change(cmd.Context(), endpoint, args[0])
		},
	}
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "the development KMS's URL; loopback addresses only")
	return cmd
}
