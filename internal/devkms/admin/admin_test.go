package admin

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/internal/devkms"
)

func TestRefusals(t *testing.T) {
	s, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	defer hs.Close()
	arn, err := s.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ endpoint, arn, err string }{
		{"https://kms.eu-west-1.amazonaws.com", arn, "another machine"},
		{"http://127.0.0.1.example.com", arn, "another machine"},
		{"http://u:p@127.0.0.1", arn, "not the URL"},
		{"127.0.0.1:80", arn, "not the URL"},
		{"", arn, "not the URL"},
		{hs.URL, "alias/x", "not the ARN"},
		{hs.URL, "arn:aws:s3:::x", "not the ARN"},
		{hs.URL, arn[:len(arn)-2] + "00", "NotFoundException"},
	}
	for name, do := range map[string]func(context.Context, string, string) error{
		"disable": Disable, "enable": Enable, "schedule": ScheduleDeletion, "cancel": CancelDeletion,
	} {
		for _, tt := range tests {
			err := do(t.Context(), tt.endpoint, tt.arn)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s at %s: got %v, want %q", name, tt.endpoint, err, tt.err)
			}
		}
	}
}
