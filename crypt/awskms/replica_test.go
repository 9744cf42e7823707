package awskms

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

// family is a world with a multi-Region key: its primary and two replicas.
type family struct {
	*world
	us, ap  string
	wrapped crypt.Wrapped
	dek     *crypt.Secret
}

func newFamily(t *testing.T) *family {
	t.Helper()
	w := newWorld(t)
	f := &family{world: w}
	var err error
	if w.arn, err = w.kms.CreateMultiRegionKey(); err != nil {
		t.Fatal(err)
	}
	for region, arn := range map[string]*string{"us-east-1": &f.us, "ap-south-1": &f.ap} {
		if *arn, err = w.kms.ReplicateKey(w.arn, region); err != nil {
			t.Fatal(err)
		}
	}
	w.p, err = Open(t.Context(), "awskms:"+w.arn+"?endpoint="+url.QueryEscape(w.endpoint)+"&replica="+f.us+"&replica="+f.ap)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append([]*site{w.p.site}, w.p.replicas...) {
		s.clients.kms.Retryer = newRetryer(time.Millisecond)
	}
	f.dek, f.wrapped = w.generate()
	return f
}

// unwrap asks with a deadline, and returns the error.
func (f *family) unwrap(timeout time.Duration) (crypt.Receipt, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), timeout)
	defer cancel()
	dek, r, err := f.p.Unwrap(ctx, f.wrapped, testContext)
	if err == nil && !dek.Equal(f.dek) {
		f.t.Error("another DEK came back")
	}
	dek.Wipe()
	if ctx.Err() != nil {
		f.t.Errorf("the call took its whole time, so that its result comes too late")
	}
	return r, err
}

func (f *family) fault(rules ...devkms.Rule) {
	f.t.Helper()
	f.kms.ClearFaults()
	for _, u := range rules {
		if _, err := f.kms.AddFault(u); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *family) do(fn func(context.Context, string, string) error, arn string) {
	f.t.Helper()
	if err := fn(f.t.Context(), f.endpoint, arn); err != nil {
		f.t.Fatal(err)
	}
}

func region(arn string) string { return strings.Split(arn, ":")[3] }

const patience = 2 * time.Second // of calls that should end long before

// While the primary cannot be reached, in whatever way, a replica serves.
func TestReplicaServes(t *testing.T) {
	f := newFamily(t)
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Fatalf("all well: served by %s, %v", r.KeyID, err)
	}
	for _, fault := range []devkms.Fault{
		devkms.FaultThrottle, devkms.FaultInternal, devkms.FaultReset, devkms.FaultNotJSON, devkms.FaultEmptyObject,
		devkms.FaultKeyUnavailable, devkms.FaultHang, devkms.FaultKeyStore,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			f.fault(devkms.Rule{Key: f.arn, Fault: fault})
			timeout := patience
			if fault == devkms.FaultHang {
				timeout = 1200 * time.Millisecond // the primary's share is a third of it
			}
			r, err := f.unwrap(timeout)
			if err != nil || r.KeyID != f.us && r.KeyID != f.ap || r.RequestID == "" || r.MaterialID != f.wrapped.MaterialID {
				t.Errorf("receipt %+v, %v", r, err)
			}
		})
	}
	f.fault()
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Errorf("the primary is back: served by %s, %v", r.KeyID, err)
	}
}

// Nothing that the primary says is overruled.
func TestReplicaNeverOverrules(t *testing.T) {
	for _, tt := range []struct {
		fault devkms.Fault
		class crypt.Class
		code  string
	}{
		{devkms.FaultAccessDenied, denied, "AccessDeniedException"},
		{devkms.FaultInvalidState, denied, codeInvalidState},
		{devkms.FaultExpiredToken, credential, "ExpiredTokenException"},
		{devkms.FaultUnrecognized, credential, "UnrecognizedClientException"},
		{devkms.FaultWrongKeyID, tampered, codeAnswer},
		{devkms.FaultShortPlaintext, tampered, codeAnswer},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			f := newFamily(t)
			f.fault(devkms.Rule{Key: f.arn, Operations: answering, Fault: tt.fault})
			_, err := f.unwrap(patience)
			if pe := providerError(t, err, tt.class, tt.code, ""); pe.KeyID != f.arn {
				t.Errorf("the answer of %s", pe.KeyID)
			}
			// So does a denial that comes late, once the replicas were asked.
			f.fault(devkms.Rule{Key: f.arn, Operations: answering, Fault: tt.fault, LatencyMS: 700}, devkms.Rule{Operations: answering, Fault: devkms.FaultHang})
			_, err = f.unwrap(1500 * time.Millisecond)
			if pe := providerError(t, err, tt.class, tt.code, ""); pe.KeyID != f.arn {
				t.Errorf("late, the answer of %s", pe.KeyID)
			}
		})
	}
}

// After a denial the line to the primary may be cut: no replica serves until the
// primary itself has said yes.
func TestReplicaNotAfterDenial(t *testing.T) {
	f := newFamily(t)
	f.do(admin.Disable, f.arn)
	_, err := f.unwrap(patience)
	wantError(t, err, denied, "DisabledException", "disabled")
	f.fault(devkms.Rule{Key: f.arn, Operations: answering, Fault: devkms.FaultReset})
	_, err = f.unwrap(patience)
	wantError(t, err, unreachable, codeNetwork, "refused before, so its replicas are not asked")

	other := testContext
	other.Database = crypt.ID{9} // the memory is each database's own
	if _, _, err := f.p.Unwrap(t.Context(), f.wrapped, other); crypt.ClassOf(err) != unreachable && crypt.ClassOf(err) != tampered {
		t.Errorf("another database: %v", err)
	}

	f.do(admin.Enable, f.arn)
	_, err = f.unwrap(patience)
	wantError(t, err, unreachable, codeNetwork, "refused before")
	f.fault()
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Fatalf("enabled again: %s, %v", r.KeyID, err)
	}
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset})
	if r, err := f.unwrap(patience); err != nil || r.KeyID == f.arn {
		t.Errorf("after a yes of the primary, replicas serve again: %s, %v", r.KeyID, err)
	}

	// A denial to Generate or Rewrap is one too.
	f.fault(devkms.Rule{Operations: []string{"ReEncrypt"}, Fault: devkms.FaultAccessDenied}, devkms.Rule{Key: f.arn, Operations: []string{"Decrypt"}, Fault: devkms.FaultReset})
	if _, _, err := f.p.Rewrap(t.Context(), f.wrapped, testContext); crypt.ClassOf(err) != denied {
		t.Fatalf("rewrap: %v", err)
	}
	_, err = f.unwrap(patience)
	wantError(t, err, unreachable, codeNetwork, "refused before")
}

func TestPrimaryOnly(t *testing.T) {
	f := newFamily(t)
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset})
	_, _, err := f.p.Unwrap(crypt.PrimaryOnly(t.Context()), f.wrapped, testContext)
	wantError(t, err, unreachable, codeNetwork, "not asked")
}

// A replica's denial is obeyed once the primary has had all the time; a yes of
// the other replica does not outvote it.
func TestReplicaDenies(t *testing.T) {
	f := newFamily(t)
	f.do(admin.Disable, f.ap)
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Fatalf("a disabled replica while the primary serves: %s, %v", r.KeyID, err)
	}
	for _, fault := range []devkms.Fault{devkms.FaultReset, devkms.FaultHang} {
		f.fault(devkms.Rule{Key: f.arn, Fault: fault})
		_, err := f.unwrap(patience)
		pe := providerError(t, err, denied, "DisabledException", "cannot be reached, and this replica of it refuses")
		if pe.KeyID != f.ap || pe.RequestID == "" {
			t.Errorf("%s: the answer of %s, request %q", fault, pe.KeyID, pe.RequestID)
		}
	}
	// A primary that is slow, or throttles for a moment, is not gone.
	f.fault(devkms.Rule{Key: f.arn, LatencyMS: 1000})
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Errorf("slow: %s, %v", r.KeyID, err)
	}
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultThrottle, Times: attemptsMax})
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.arn {
		t.Errorf("throttled for a moment: %s, %v", r.KeyID, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	f := newFamily(t)
	f.fault(devkms.Rule{Fault: devkms.FaultReset})
	_, err := f.unwrap(patience)
	pe := providerError(t, err, unreachable, codeNetwork, "neither do its replicas serve")
	if pe.KeyID != f.arn {
		t.Errorf("the failure of %s", pe.KeyID)
	}
	f.fault(devkms.Rule{Fault: devkms.FaultHang})
	_, err = f.unwrap(time.Second)
	wantError(t, err, unreachable, codeTimeout, "in time")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the cause is lost: %v", err)
	}
	// A replica that hangs does not keep the other from serving.
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset}, devkms.Rule{Key: f.us, Fault: devkms.FaultHang})
	if r, err := f.unwrap(patience); err != nil || r.KeyID != f.ap {
		t.Errorf("one replica hangs: %s, %v", r.KeyID, err)
	}
	// A replica's answer is checked like any.
	for _, fault := range []devkms.Fault{devkms.FaultWrongKeyID, devkms.FaultShortPlaintext, devkms.FaultExpiredToken} {
		f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset}, devkms.Rule{Fault: fault})
		_, err = f.unwrap(patience)
		wantError(t, err, unreachable, codeNetwork, "neither do its replicas serve")
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.fault()
	f.kms.SetFault(func(string) devkms.Fault { cancel(); return devkms.FaultHang })
	_, _, err = f.p.Unwrap(ctx, f.wrapped, testContext)
	wantError(t, err, unreachable, codeCanceled, "canceled")
}

// Everything but Unwrap stays with the primary.
func TestReplicasServeUnwrapAlone(t *testing.T) {
	f := newFamily(t)
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset})
	ops := calls(f.world, f.wrapped)
	ops[opCheck] = f.p.Check
	delete(ops, opUnwrap)
	for op, call := range ops {
		if pe := providerError(t, call(t.Context()), unreachable, codeNetwork, ""); pe.KeyID != f.arn {
			t.Errorf("%s: %v", op, pe)
		}
	}
	if f.p.KeyID() != f.arn {
		t.Errorf("KeyID %s", f.p.KeyID())
	}
	again, err := Open(t.Context(), f.p.URI())
	if err != nil || again.URI() != f.p.URI() || len(again.replicas) != 2 {
		t.Errorf("%s: %v", f.p.URI(), err)
	}
	for i, arn := range []string{f.us, f.ap} {
		if s := again.replicas[i]; s.keyARN != arn || s.clients.kms.Region != region(arn) {
			t.Errorf("replica %d is %s in %s", i, s.keyARN, s.clients.kms.Region)
		}
	}
}

// A rotation of the primary's material reaches the replicas.
func TestReplicaAfterRotation(t *testing.T) {
	f := newFamily(t)
	f.do(admin.Rotate, f.arn)
	now, r, err := f.p.CurrentMaterial(t.Context())
	if err != nil || now == f.wrapped.MaterialID || now != r.MaterialID || r.KeyID != f.arn || r.RequestID == "" {
		t.Fatalf("current material %q, wrapped under %q, receipt %+v, %v", now, f.wrapped.MaterialID, r, err)
	}
	anew, _, err := f.p.Rewrap(t.Context(), f.wrapped, testContext)
	if err != nil || anew.MaterialID != now {
		t.Fatalf("rewrapped under %q: %v", anew.MaterialID, err)
	}
	f.wrapped = anew
	f.fault(devkms.Rule{Key: f.arn, Fault: devkms.FaultReset})
	if r, err := f.unwrap(patience); err != nil || r.MaterialID != now {
		t.Errorf("receipt %+v, %v", r, err)
	}
}
