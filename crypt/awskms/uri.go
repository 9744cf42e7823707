package awskms

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Scheme begins the URIs of this provider, without the colon.
const Scheme = "awskms"

// Names of a URI's parameters.
const (
	paramRole       = "role_arn"
	paramExternalID = "external_id"
	paramEndpoint   = "endpoint"
	paramRegion     = "region"
	paramReplica    = "replica" // ARN[,ENDPOINT]; may be repeated
)

const replicasMax = 4

const uriSizeMax = 2048 // bytes; a key id has to fit an envelope

// Limits of an external id in bytes, as sts:AssumeRole has them.
const (
	externalIDSizeMin = 2
	externalIDSizeMax = 1224
)

// target is a parsed URI.
type target struct {
	keyARN     string
	region     string // of the ARN
	roleARN    string // empty: the caller's own identity
	externalID string
	endpoint   string // empty: the region's own
	loopback   bool   // the endpoint is on this machine
	replicas   []target
}

var (
	keyResource  = regexp.MustCompile(`^key/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`)
	roleResource = regexp.MustCompile(`^role/[\w+=,.@/-]{1,512}$`)
	partition    = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	regionName   = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	externalID   = regexp.MustCompile(`^[\w+=,.@:/-]+$`)
)

// parseURI parses
//
//	awskms:KEY-ARN[?role_arn=…&external_id=…&endpoint=…&region=…&replica=ARN[,ENDPOINT]&replica=…]
//
// Errors name parameters, never their values.
func parseURI(uri string) (target, error) {
	rest, ok := strings.CutPrefix(uri, Scheme+":")
	switch {
	case !ok:
		return target{}, errors.New(`an AWS KMS key URI begins with "awskms:"`)
	case len(uri) > uriSizeMax:
		return target{}, fmt.Errorf("an AWS KMS key URI has at most %d bytes", uriSizeMax)
	}
	id, query, _ := strings.Cut(rest, "?")
	t := target{keyARN: id}
	if err := t.parseKeyARN(); err != nil {
		return target{}, err
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return target{}, errors.New("the parameters of the key URI do not parse: percent-encode their values")
	}
	replicas := params[paramReplica]
	delete(params, paramReplica)
	for name, values := range params {
		if len(values) != 1 || values[0] == "" {
			return target{}, fmt.Errorf("parameter %s of the key URI needs one value", name)
		}
		if err := t.set(name, values[0]); err != nil {
			return target{}, err
		}
	}
	switch {
	case t.externalID != "" && t.roleARN == "":
		return target{}, errors.New("external_id is given without role_arn: it belongs to the role")
	case t.roleARN != "" && t.loopback:
		return target{}, errors.New("role_arn is given with a loopback endpoint: a development KMS has no roles")
	}
	return t, t.setReplicas(replicas)
}

// setReplicas takes the replicas, once everything else is known: they are asked
// as the same role, and where the key is at a development KMS, so are they.
func (t *target) setReplicas(values []string) error {
	switch {
	case len(values) == 0:
		return nil
	case len(values) > replicasMax:
		return fmt.Errorf("replica is given %d times: a key URI takes %d at most", len(values), replicasMax)
	case !strings.Contains(t.keyARN, "key/mrk-"):
		return errors.New("replica is given, and the key is no multi-Region key: the id of one begins with mrk-")
	}
	regions := map[string]bool{t.region: true}
	for _, value := range values {
		id, endpoint, given := strings.Cut(value, ",")
		r := target{keyARN: id, roleARN: t.roleARN, externalID: t.externalID}
		if err := r.parseKeyARN(); err != nil {
			return fmt.Errorf("replica: %w", err)
		}
		switch {
		case strings.Replace(r.keyARN, ":"+r.region+":", ":"+t.region+":", 1) != t.keyARN:
			return errors.New("replica is another key: it has the key's own partition, account and id, in another region")
		case regions[r.region]:
			return errors.New("replica names a region twice: each is in a region of its own, none in the key's")
		}
		regions[r.region] = true
		if given {
			if err := r.setEndpoint(endpoint); err != nil {
				return fmt.Errorf("replica: %w", err)
			}
		} else if t.loopback {
			r.endpoint, r.loopback = t.endpoint, true
		}
		if r.loopback != t.loopback {
			return errors.New("replica and key are both at a development KMS on this machine, or neither is")
		}
		t.replicas = append(t.replicas, r)
	}
	return nil
}

const wantARN = "give the full key ARN, arn:aws:kms:REGION:ACCOUNT:key/KEY-ID (shown by: aws kms describe-key)"

func (t *target) parseKeyARN() error {
	switch {
	case t.keyARN == "":
		return errors.New("the key URI names no key: " + wantARN)
	case strings.HasPrefix(t.keyARN, "alias/"):
		return errors.New("an alias could be pointed at another key later: " + wantARN)
	case !strings.HasPrefix(t.keyARN, "arn:"):
		return errors.New("this is not a key ARN: " + wantARN)
	}
	a, err := arn.Parse(t.keyARN)
	switch {
	case err != nil || !partition.MatchString(a.Partition) || a.Service != "kms":
		return errors.New("this is not the ARN of a KMS key: " + wantARN)
	case strings.HasPrefix(a.Resource, "alias/"):
		return errors.New("an alias could be pointed at another key later: " + wantARN)
	case !regionName.MatchString(a.Region):
		return errors.New("the key ARN names no region: " + wantARN)
	case !accountID.MatchString(a.AccountID):
		return errors.New("the key ARN names no account of 12 digits: " + wantARN)
	case !keyResource.MatchString(a.Resource):
		return errors.New("the key ARN does not end in key/ and a key id: " + wantARN)
	}
	t.region = a.Region
	return nil
}

// set takes one parameter.
func (t *target) set(name, value string) error {
	switch name {
	case paramRole:
		a, err := arn.Parse(value)
		if err != nil || a.Service != "iam" || !partition.MatchString(a.Partition) || a.Region != "" ||
			!accountID.MatchString(a.AccountID) || !roleResource.MatchString(a.Resource) {
			return errors.New("role_arn is not the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME")
		}
		t.roleARN = value
	case paramExternalID:
		if len(value) < externalIDSizeMin || len(value) > externalIDSizeMax || !externalID.MatchString(value) {
			return errors.New("external_id has 2 to 1224 letters, digits and characters of +=,.@:/-_")
		}
		t.externalID = value
	case paramEndpoint:
		return t.setEndpoint(value)
	case paramRegion:
		if value != t.region {
			return errors.New("region differs from the key ARN's: leave it out, the ARN's counts")
		}
	default:
		if secretLooking(name) {
			return fmt.Errorf("parameter %q looks like a secret: key URIs are stored and shown; give credentials in the environment, a profile or a role", name)
		}
		return fmt.Errorf("unknown parameter %q in an AWS KMS key URI; known: %s, %s, %s, %s, %s", name, paramEndpoint, paramExternalID, paramRegion, paramReplica, paramRole)
	}
	return nil
}

func secretLooking(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"secret", "password", "passwd", "token", "access_key", "accesskey", "access-key", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

func (t *target) setEndpoint(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return errors.New("endpoint is not a URL such as https://kms.eu-west-1.amazonaws.com")
	case u.User != nil:
		return errors.New("endpoint holds a user name: key URIs hold no credentials")
	case (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("endpoint has a path, a query or a fragment: give scheme, host and port alone")
	}
	t.loopback = loopbackHost(u.Hostname())
	if u.Scheme == "http" && !t.loopback {
		return errors.New("endpoint is plain http to another machine: use https")
	}
	t.endpoint = u.Scheme + "://" + u.Host
	return nil
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// uri returns the target as a URI, its parameters in the order of their names,
// replicas in the order in which they were given.
func (t target) uri() string {
	q := url.Values{}
	for name, value := range map[string]string{paramRole: t.roleARN, paramExternalID: t.externalID, paramEndpoint: t.endpoint} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, r := range t.replicas {
		value := r.keyARN
		if r.endpoint != "" && (!t.loopback || r.endpoint != t.endpoint) {
			value += "," + r.endpoint
		}
		q.Add(paramReplica, value)
	}
	s := Scheme + ":" + t.keyARN
	if len(q) > 0 {
		s += "?" + q.Encode()
	}
	return s
}
