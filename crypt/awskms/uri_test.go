package awskms

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

const testARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// One multi-Region key in three regions.
const (
	mrk   = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	mrkUS = "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
	mrkAP = "arn:aws:kms:ap-south-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
)

func TestParseURI(t *testing.T) {
	const role = "role_arn=arn:aws:iam::444455556666:role/path/byokdb"
	tests := []struct{ uri, again, err string }{
		{"awskms:" + testARN, "awskms:" + testARN, ""},
		{"awskms:" + testARN + "?region=eu-west-1", "awskms:" + testARN, ""},
		{"awskms:arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", "=", ""},
		{"awskms:arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", "=", ""},
		{"awskms:" + testARN + "?" + role, "awskms:" + testARN + "?role_arn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fpath%2Fbyokdb", ""},
		{"awskms:" + testARN + "?" + role + "&external_id=customer-17", "awskms:" + testARN + "?external_id=customer-17&role_arn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fpath%2Fbyokdb", ""},
		{"awskms:" + testARN + "?endpoint=https://vpce-1.kms.eu-west-1.vpce.amazonaws.com/", "awskms:" + testARN + "?endpoint=https%3A%2F%2Fvpce-1.kms.eu-west-1.vpce.amazonaws.com", ""},
		{"awskms:" + testARN + "?endpoint=http://[::1]:80", "awskms:" + testARN + "?endpoint=http%3A%2F%2F%5B%3A%3A1%5D%3A80", ""},

		{"awskms:" + mrk + "?replica=" + mrkUS, "awskms:" + mrk + "?replica=" + url.QueryEscape(mrkUS), ""},
		{"awskms:" + mrk + "?replica=" + mrkUS + "&" + role + "&replica=" + mrkAP + ",https://kms.example.com/", "awskms:" + mrk + "?replica=" + url.QueryEscape(mrkUS) + "&replica=" + url.QueryEscape(mrkAP+",https://kms.example.com") + "&role_arn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Fpath%2Fbyokdb", ""},
		{"awskms:" + mrk + "?endpoint=http://127.0.0.1:1&replica=" + mrkUS, "awskms:" + mrk + "?endpoint=http%3A%2F%2F127.0.0.1%3A1&replica=" + url.QueryEscape(mrkUS), ""},
		{"awskms:" + mrk + "?endpoint=http://127.0.0.1:1&replica=" + mrkUS + ",http://127.0.0.1:1", "awskms:" + mrk + "?endpoint=http%3A%2F%2F127.0.0.1%3A1&replica=" + url.QueryEscape(mrkUS), ""},
		{"awskms:" + mrk + "?endpoint=http://127.0.0.1:1&replica=" + mrkUS + ",http://127.0.0.1:2", "awskms:" + mrk + "?endpoint=http%3A%2F%2F127.0.0.1%3A1&replica=" + url.QueryEscape(mrkUS+",http://127.0.0.1:2"), ""},

		{"awskms:" + testARN + "?replica=" + mrkUS, "", "no multi-Region key"},
		{"awskms:" + mrk + "?replica=", "", "replica: the key URI names no key"},
		{"awskms:" + mrk + "?replica=alias/x", "", "replica: an alias"},
		{"awskms:" + mrk + "?replica=" + mrk, "", "region twice"},
		{"awskms:" + mrk + "?replica=" + mrkUS + "&replica=" + mrkUS, "", "region twice"},
		{"awskms:" + mrk + "?replica=" + strings.Replace(mrkUS, "111122223333", "111122223334", 1), "", "another key"},
		{"awskms:" + mrk + "?replica=" + strings.Replace(mrkUS, "arn:aws:", "arn:aws-cn:", 1), "", "another key"},
		{"awskms:" + mrk + "?replica=" + mrkUS[:len(mrkUS)-1] + "0", "", "another key"},
		{"awskms:" + mrk + "?replica=" + mrkUS + ",http://kms.example.com", "", "replica: endpoint is plain http"},
		{"awskms:" + mrk + "?replica=" + mrkUS + ",", "", "replica: endpoint is not a URL"},
		{"awskms:" + mrk + "?replica=" + mrkUS + ",http://127.0.0.1:1", "", "or neither is"},
		{"awskms:" + mrk + "?endpoint=http://127.0.0.1:1&replica=" + mrkUS + ",https://kms.example.com", "", "or neither is"},
		{"awskms:" + mrk + strings.Replace(strings.Repeat("&replica="+mrkUS, 5), "&", "?", 1), "", "4 at most"},

		{"kms:" + testARN, "", `begins with "awskms:"`},
		{"awskms:", "", "names no key"},
		{"awskms:alias/orders", "", "alias"},
		{"awskms:arn:aws:kms:eu-west-1:111122223333:alias/orders", "", "alias could be pointed at another key"},
		{"awskms:1234abcd-12ab-34cd-56ef-1234567890ab", "", "not a key ARN"},
		{"awskms:mrk-1234abcd12ab34cd56ef1234567890ab", "", "not a key ARN"},
		{"awskms://user:hunter2@host/key", "", "not a key ARN"},
		{"awskms:arn:aws:s3:eu-west-1:111122223333:key/x", "", "not the ARN of a KMS key"},
		{"awskms:arn:gcp:kms:eu-west-1:111122223333:key/x", "", "not the ARN of a KMS key"},
		{"awskms:arn:aws:kms::111122223333:key/x", "", "no region"},
		{"awskms:arn:aws:kms:evil.example.com/x:111122223333:key/x", "", "no region"},
		{"awskms:arn:aws:kms:eu-west-1::key/x", "", "no account"},
		{"awskms:arn:aws:kms:eu-west-1:111122223333:key/", "", "key id"},
		{"awskms:arn:aws:kms:eu-west-1:111122223333:key/1234", "", "key id"},
		{"awskms:" + strings.ToUpper(testARN), "", "not a key ARN"},
		{"awskms:" + testARN + "?region=us-east-1", "", "region differs"},
		{"awskms:" + testARN + "?external_id=customer-17", "", "without role_arn"},
		{"awskms:" + testARN + "?role_arn=orders", "", "not the ARN of a role"},
		{"awskms:" + testARN + "?role_arn=arn:aws:iam::444455556666:user/x", "", "not the ARN of a role"},
		{"awskms:" + testARN + "?" + role + "&external_id=x", "", "2 to 1224"},
		{"awskms:" + testARN + "?" + role + "&endpoint=http://127.0.0.1:1", "", "no roles"},
		{"awskms:" + testARN + "?endpoint=http://kms.example.com", "", "plain http"},
		{"awskms:" + testARN + "?endpoint=http://127.0.0.1.example.com", "", "plain http"},
		{"awskms:" + testARN + "?endpoint=kms.example.com", "", "not a URL"},
		{"awskms:" + testARN + "?endpoint=https://a:hunter2@kms.example.com", "", "no credentials"},
		{"awskms:" + testARN + "?endpoint=https://kms.example.com/x", "", "path"},
		{"awskms:" + testARN + "?endpoint=https://kms.example.com&endpoint=https://b", "", "needs one value"},
		{"awskms:" + testARN + "?endpoint=", "", "needs one value"},
		{"awskms:" + testARN + "?secret_access_key=hunter2", "", "looks like a secret"},
		{"awskms:" + testARN + "?SessionToken=hunter2", "", "looks like a secret"},
		{"awskms:" + testARN + "?verify=hunter2", "", "known: endpoint, external_id, region, replica, role_arn"},
		{"awskms:" + testARN + "?%zz=hunter2", "", "do not parse"},
		{"awskms:" + testARN + "?x=" + strings.Repeat("a", uriSizeMax), "", "at most"},
	}
	for _, tt := range tests {
		got, err := parseURI(tt.uri)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: got error %v, want %q", tt.uri, err, tt.err)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the error holds a value: %v", tt.uri, err)
			}
			continue
		}
		if tt.again == "=" {
			tt.again = tt.uri
		}
		if err != nil || got.uri() != tt.again {
			t.Errorf("%s: got %s, %v, want %s", tt.uri, got.uri(), err, tt.again)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("awskms:" + testARN)
	f.Add("awskms:" + testARN + "?endpoint=http://127.0.0.1:80&region=eu-west-1")
	f.Add("awskms:" + testARN + "?role_arn=arn:aws:iam::444455556666:role/x&external_id=ab")
	f.Add("awskms:" + mrk + "?endpoint=http://127.0.0.1:80&replica=" + mrkUS + "&replica=" + mrkAP + ",http://[::1]:81")
	f.Fuzz(func(t *testing.T, uri string) {
		got, err := parseURI(uri)
		if err != nil {
			return
		}
		for _, at := range append([]target{got}, got.replicas...) {
			if strings.HasPrefix(at.endpoint, "http://") && !at.loopback {
				t.Fatalf("%q: plain http to another machine", uri)
			}
		}
		again, err := parseURI(got.uri())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q → %q → %+v, %v", uri, got.uri(), again, err)
		}
	})
}
