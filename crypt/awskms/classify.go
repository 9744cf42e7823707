package awskms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/byokdb/byokdb/crypt"
)

// Codes of our own, beside those of the KMS.
const (
	codeEmpty       = "EmptyAnswer"
	codeAnswer      = "WrongAnswer"
	codeUsage       = "InvalidKeyUsageException"
	codeGarbage     = "NotAKMS"
	codeTimeout     = "Timeout"
	codeCanceled    = "Canceled"
	codeNetwork     = "Network"
	codeDNS         = "DNS"
	codeTLS         = "TLS"
	codeCredentials = "NoCredentials"
	codeRole        = "AssumeRole"
)

// Codes of the KMS and the SDK that are looked at one by one.
const (
	codeInvalidState = "KMSInvalidStateException"
	codeUnknown      = "UnknownError" // the SDK's, for an answer without a code
)

// classes sorts the error codes of AWS KMS and of its front end. A code that is
// not here is unreachable: it must never count as the customer's denial.
//
// Source: AWS KMS API reference, Common Errors and the errors of each operation.
var classes = map[string]crypt.Class{
	"DisabledException":             crypt.ClassDenied,
	codeInvalidState:                crypt.ClassDenied, // see invalidState
	"AccessDeniedException":         crypt.ClassDenied,
	"NotAuthorized":                 crypt.ClassDenied,
	"NotFoundException":             crypt.ClassDenied,
	"IncorrectKeyException":         crypt.ClassDenied,
	"InvalidKeyUsageException":      crypt.ClassDenied,
	"UnsupportedOperationException": crypt.ClassDenied,

	"InvalidCiphertextException": crypt.ClassTampered,

	"ExpiredTokenException":               crypt.ClassCredentials,
	"ExpiredToken":                        crypt.ClassCredentials,
	"RequestExpired":                      crypt.ClassCredentials,
	"RequestTimeTooSkewed":                crypt.ClassCredentials,
	"UnrecognizedClientException":         crypt.ClassCredentials,
	"InvalidClientTokenId":                crypt.ClassCredentials,
	"InvalidSignatureException":           crypt.ClassCredentials,
	"SignatureDoesNotMatch":               crypt.ClassCredentials,
	"IncompleteSignature":                 crypt.ClassCredentials,
	"IncompleteSignatureException":        crypt.ClassCredentials,
	"MissingAuthenticationToken":          crypt.ClassCredentials,
	"MissingAuthenticationTokenException": crypt.ClassCredentials,
	"OptInRequired":                       crypt.ClassCredentials,
}

// wholeKey are the codes of denials that concern the key itself, whoever asks and
// with whatever encryption context. AccessDeniedException is not one of them:
// policies and grants may name both.
var wholeKey = []string{"DisabledException", "KMSInvalidStateException", "NotFoundException"}

// details say in a sentence what a code means, and what to do.
var details = map[string]string{
	"DisabledException":          "the key is disabled; enable it: aws kms enable-key",
	codeInvalidState:             "the key's state does not allow its use, as when it is pending deletion: aws kms describe-key shows it",
	"AccessDeniedException":      "the key's policy, a grant or the caller's IAM policy does not allow this; CloudTrail shows which",
	"NotAuthorized":              "the key's policy, a grant or the caller's IAM policy does not allow this; CloudTrail shows which",
	"NotFoundException":          "the KMS knows no such key; it was deleted, or the ARN is wrong",
	"IncorrectKeyException":      "the data key was wrapped by another key than this one",
	"InvalidKeyUsageException":   "the key is not a symmetric key for encryption; make one: aws kms create-key",
	"InvalidCiphertextException": "the wrapped data key is damaged, or belongs to another database or epoch",

	"ExpiredTokenException":       "this program's AWS credentials have expired; renew them",
	"UnrecognizedClientException": "AWS does not know this program's credentials; check the access key",
	"InvalidSignatureException":   "AWS refused this program's signature; check the secret key and the clock",
	"RequestTimeTooSkewed":        "this machine's clock is wrong; set it",

	"ThrottlingException":        "the KMS limits the rate of requests; it is asked again later",
	"LimitExceededException":     "a quota of the KMS is used up; it is asked again later",
	"KMSInternalException":       "the KMS has an internal fault; it is asked again later",
	"KeyUnavailableException":    "the KMS cannot reach the key now; it is asked again later",
	"DependencyTimeoutException": "the KMS waited too long for a part of its own; it is asked again later",
}

// answer is what the checks of an answer need to know about its call.
type answer struct {
	op       string
	metadata middleware.Metadata
}

func (a answer) requestID() string {
	id, _ := awsmiddleware.GetRequestIDMetadata(a.metadata)
	return printable(id)
}

// refuse makes the error of an answer that came, but is not good.
func (s *site) refuse(a answer, class crypt.Class, code, detail string) error {
	return &crypt.ProviderError{
		Class: class, Op: a.op, KeyID: s.keyARN, Code: code, RequestID: a.requestID(), Detail: detail,
	}
}

// empty makes the error of a good status without content: it says nothing about
// the key.
func (s *site) empty(a answer) error {
	return s.refuse(a, crypt.ClassUnreachable, codeEmpty, "the answer is empty: something between here and the KMS gave it")
}

// sort makes a *crypt.ProviderError of an error of the SDK. The SDK's error does
// not go along, for it may hold what an endpoint chose to say; the context's
// error does.
func (s *site) sort(ctx context.Context, op string, err error) error {
	e := &crypt.ProviderError{Class: crypt.ClassUnreachable, Op: op, KeyID: s.keyARN}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.RequestID = printable(response.ServiceRequestID())
	}
	sorted := ctx
	late, ok := errors.AsType[*outOfTime](err)
	if ok {
		err, sorted = late.err, context.WithoutCancel(ctx) // as it was when the attempt failed
	}
	var creds *credentialsError
	var api smithy.APIError
	switch {
	case errors.As(err, &creds):
		sortCredentials(sorted, e, creds)
	case errors.As(err, &api) && api.ErrorCode() != codeUnknown && printable(api.ErrorCode()) != "":
		sortCode(e, api.ErrorCode())
		if e.Code == codeInvalidState {
			s.invalidState(ctx, e, api.ErrorMessage())
		}
	default:
		sortTransport(sorted, e, err)
	}
	if ok && e.Class == crypt.ClassUnreachable {
		e.Err = ctx.Err()
	}
	e.WholeKey = e.Class == crypt.ClassDenied && slices.Contains(wholeKey, e.Code)
	if e.Class == crypt.ClassCredentials {
		s.clients.creds.renew()
	}
	return e
}

// sortCode fills in what an error code of AWS says.
func sortCode(e *crypt.ProviderError, code string) {
	e.Code, e.Detail = printable(code), details[code]
	if class, ok := classes[code]; ok {
		e.Class = class
	}
	switch {
	case e.Detail != "":
	case e.Class == crypt.ClassDenied:
		e.Detail = "the KMS refuses to use the key"
	case e.Class == crypt.ClassCredentials:
		e.Detail = "AWS does not accept this program's credentials; check them and the clock"
	default:
		e.Detail = "the KMS could not answer; it is asked again later"
	}
}

// invalidState looks closer at KMSInvalidStateException. For keys in custom and
// external key stores it is the answer to any failure of the store, and while a
// key is being changed it is the answer too; neither is a denial. The key's
// description tells. Without one, the message does, which for what a customer
// does to a key says so; any other counts as an outage, for data must not be
// erased on a guess.
func (s *site) invalidState(ctx context.Context, e *crypt.ProviderError, message string) {
	out, err := s.clients.call(ctx).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &s.keyARN})
	if err == nil && out.KeyMetadata != nil && aws.ToString(out.KeyMetadata.Arn) == s.keyARN {
		e.Class, e.Detail = classOfState(out.KeyMetadata.KeyState, out.KeyMetadata.Origin, e.Detail)
		return
	}
	for _, done := range []string{"pending deletion", "pending replica deletion", "pending import", "is disabled"} {
		if strings.Contains(message, done) {
			return
		}
	}
	e.Class = crypt.ClassUnreachable
	e.Detail = "the key's state does not allow its use, and its description, which would say why, is not to be had; allow kms:DescribeKey"
}

// classOfState returns what KMSInvalidStateException means for a key.
func classOfState(state types.KeyState, origin types.OriginType, detail string) (crypt.Class, string) {
	external := origin == types.OriginTypeAwsCloudhsm || origin == types.OriginTypeExternalKeyStore
	switch {
	case state == types.KeyStateUnavailable, external && state == types.KeyStateEnabled:
		return crypt.ClassUnreachable, "the key store that holds the key cannot be used; connect it: aws kms connect-custom-key-store"
	case state == types.KeyStateCreating, state == types.KeyStateUpdating:
		return crypt.ClassUnreachable, "the key is being changed; it is asked again later"
	case state == types.KeyStatePendingImport:
		return crypt.ClassDenied, "the key has no key material; import it again"
	case state == types.KeyStatePendingDeletion, state == types.KeyStatePendingReplicaDeletion:
		return crypt.ClassDenied, "the key is pending deletion; cancel that, then enable it: aws kms cancel-key-deletion, aws kms enable-key"
	}
	return crypt.ClassDenied, detail
}

// sortCredentials sorts a failure to get credentials, from STS or elsewhere. An
// STS that cannot be reached says nothing about the credentials.
func sortCredentials(ctx context.Context, e *crypt.ProviderError, err error) {
	e.Class, e.Code = crypt.ClassCredentials, codeCredentials
	e.Detail = "this program has no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or run it with a role"
	var call *smithy.OperationError
	if !errors.As(err, &call) || call.ServiceID != "STS" {
		if ctx.Err() != nil {
			sortTransport(ctx, e, err)
			e.Detail = "this program's AWS credentials did not come in time; check AWS_PROFILE, and the instance metadata where they come from there"
		}
		return
	}
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == codeUnknown {
		sortTransport(ctx, e, err)
		return
	}
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	broken := ok && response.HTTPStatusCode() >= http.StatusInternalServerError
	code := api.ErrorCode()
	sortCode(e, code)
	switch {
	case broken, slices.Contains(stsThrottling, code):
		e.Class = crypt.ClassUnreachable
		e.Detail = "AWS STS could not answer; it is asked again later"
	case code == "AccessDenied", code == "AccessDeniedException":
		e.Class, e.Code = crypt.ClassCredentials, codeRole
		e.Detail = "this program may not assume the role in role_arn; check the role's trust policy and external_id"
	case e.Class != crypt.ClassCredentials:
		e.Class = crypt.ClassCredentials
		e.Detail = "AWS STS does not give credentials of the role in role_arn; check the role and its region"
	}
}

// stsThrottling are the codes with which STS limits the rate of requests.
var stsThrottling = []string{"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}

// sortTransport sorts what is no answer of an AWS service.
func sortTransport(ctx context.Context, e *crypt.ProviderError, err error) {
	e.Class = crypt.ClassUnreachable
	set := func(code, detail string) { e.Code, e.Detail = code, detail }
	var (
		dns      *net.DNSError
		broken   *brokenBody
		response *awshttp.ResponseError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Err = context.Canceled
		set(codeCanceled, "the call was canceled")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Err = context.DeadlineExceeded
		set(codeTimeout, "the KMS did not answer in time")
	case errors.As(err, &dns):
		set(codeDNS, "the name of the KMS's endpoint does not resolve; check the network and the region")
	case isTLS(err):
		set(codeTLS, "no trusted TLS connection to the KMS; check the endpoint, the proxy and the clock")
	case timedOut(err):
		set(codeTimeout, "the KMS did not answer in time")
	case errors.As(err, &broken):
		set(codeNetwork, "the answer broke off; check the network and the endpoint")
	case errors.As(err, &response) && response.HTTPStatusCode() != 0:
		set(codeGarbage, "what answered is not an AWS KMS (HTTP status "+strconv.Itoa(response.HTTPStatusCode())+"); check endpoint and proxy")
	default:
		set(codeNetwork, "no connection to the KMS, or it broke off; check the network and the endpoint")
	}
}

func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// isTLS reports whether the handshake failed, at either end.
func isTLS(err error) bool {
	var (
		network      *net.OpError
		verification *tls.CertificateVerificationError
		header       tls.RecordHeaderError
		alert        tls.AlertError
		unknown      x509.UnknownAuthorityError
		host         x509.HostnameError
	)
	remote := errors.As(err, &network) && (network.Op == "remote error" || network.Op == "local error") // so crypto/tls names alerts
	return remote || errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &verification) || errors.As(err, &header) || errors.As(err, &alert) ||
		errors.As(err, &unknown) || errors.As(err, &host)
}

const wordSizeMax = 128 // bytes

// printable returns an identifier that the other side sent, or nothing when it
// is not one.
func printable(s string) string {
	if len(s) > wordSizeMax {
		return ""
	}
	for _, r := range s {
		if r < '!' || r > '~' {
			return ""
		}
	}
	return s
}
