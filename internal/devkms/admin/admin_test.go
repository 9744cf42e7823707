package admin

import (
	"context"
	"net/http"
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
		"rotate": Rotate,
		"policy": func(ctx context.Context, endpoint, arn string) error { return SetPolicy(ctx, endpoint, arn, "{}") },
		"replicate": func(ctx context.Context, endpoint, arn string) error {
			_, err := Replicate(ctx, endpoint, arn, "us-east-1")
			return err
		},
	} {
		for _, tt := range tests {
			err := do(t.Context(), tt.endpoint, tt.arn)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s at %s: got %v, want %q", name, tt.endpoint, err, tt.err)
			}
		}
	}
}

func TestFaultsAndReplicas(t *testing.T) {
	s, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	hs := httptest.NewServer(s)
	defer hs.Close()
	ctx := t.Context()
	primary, err := CreateKey(ctx, hs.URL, devkms.Region, true)
	if err != nil {
		t.Fatal(err)
	}
	replica, err := Replicate(ctx, hs.URL, primary, "us-east-1")
	if err != nil || replica != strings.Replace(primary, devkms.Region, "us-east-1", 1) {
		t.Fatalf("replica %s: %v", replica, err)
	}
	if err := Rotate(ctx, hs.URL, primary); err != nil {
		t.Error(err)
	}
	id, err := AddFault(ctx, hs.URL+"/", devkms.Rule{Fault: devkms.FaultThrottle, Operations: []string{"DisableKey"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := Disable(ctx, hs.URL, primary); err == nil || !strings.Contains(err.Error(), "ThrottlingException") {
		t.Errorf("with a fault: %v", err)
	}
	list, err := Faults(ctx, hs.URL)
	if err != nil || len(list) != 1 || list[0].ID != id {
		t.Errorf("rules: %+v, %v", list, err)
	}
	for _, step := range []struct{ id, err string }{{id, ""}, {id, "no rule has this id"}, {"", ""}} {
		err := RemoveFault(ctx, hs.URL, step.id)
		if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Errorf("remove %q: %v", step.id, err)
		}
	}
	if _, err := AddFault(ctx, hs.URL, devkms.Rule{}); err == nil || !strings.Contains(err.Error(), "does nothing") {
		t.Errorf("a rule that does nothing: %v", err)
	}
	const away = "https://kms.eu-west-1.amazonaws.com"
	_, addErr := AddFault(ctx, away, devkms.Rule{Fault: devkms.FaultReset})
	_, listErr := Faults(ctx, away)
	_, createErr := CreateKey(ctx, away, devkms.Region, false)
	for _, err := range []error{addErr, listErr, createErr, RemoveFault(ctx, away, "")} {
		if err == nil || !strings.Contains(err.Error(), "another machine") {
			t.Errorf("at %s: %v", away, err)
		}
	}
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	if _, err := Faults(ctx, none.URL); err == nil || !strings.Contains(err.Error(), "is it devkms?") {
		t.Errorf("something else: %v", err)
	}
}
