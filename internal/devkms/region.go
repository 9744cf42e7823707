package devkms

import (
	"net/http"
	"regexp"
	"strings"
)

// One service is in all regions at once. A request belongs to the region that
// its signature names, as the SDK's configured region; one without a signature
// belongs to the region of the ARN in it.

var regionName = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)

// arnPrefix begins the ARNs of a region.
func arnPrefix(region string) string { return "arn:aws:kms:" + region + ":" + Account + ":" }

// signingRegion returns the region of a request's signature, or nothing.
func signingRegion(r *http.Request) string {
	_, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return ""
	}
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/") // access key, day, region, service, "aws4_request"
	if len(parts) != 5 || !regionName.MatchString(parts[2]) {
		return ""
	}
	return parts[2]
}

// call is one request on its way through the service.
type call struct {
	*Server
	region string // empty: the ARN's, or Region
}

// home is the region of what the request names without one.
func (c *call) home() string {
	if c.region == "" {
		return Region
	}
	return c.region
}

// locate splits a key id, key ARN, alias name or alias ARN into its region and
// the rest, such as "key/ID", "ID" or "alias/NAME".
func (c *call) locate(id string) (region, name string, err error) {
	if !strings.HasPrefix(id, "arn:") {
		return c.home(), id, nil
	}
	parts := strings.SplitN(id, ":", 6)
	switch {
	case len(parts) != 6 || parts[1] != "aws" || parts[2] != "kms":
		return "", "", refuse("InvalidArnException", "Invalid arn")
	case c.region != "" && parts[3] != c.region:
		return "", "", refuse("NotFoundException", "Invalid arn "+parts[3])
	case parts[4] != Account:
		return "", "", refuse("NotFoundException", "Key '"+id+"' does not exist")
	}
	return parts[3], parts[5], nil
}

// find returns the key of an id, an ARN and, where aliases are allowed, an
// alias name or alias ARN.
func (c *call) find(id string, aliases bool) (*key, error) {
	if id == "" {
		return nil, refuse("ValidationException", "1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must not be null")
	}
	region, name, err := c.locate(id)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "alias/") {
		if !aliases {
			return nil, refuse("InvalidArnException", "this operation takes a key id or a key ARN, not an alias")
		}
		target, ok := c.state.Aliases[aliasKey(region, name)]
		if !ok {
			return nil, refuse("NotFoundException", "Alias "+arnPrefix(region)+name+" is not found.")
		}
		name = target
	}
	name = strings.TrimPrefix(name, "key/")
	if k := c.state.key(region, name); k != nil {
		return k, nil
	}
	return nil, notFound(arnPrefix(region) + "key/" + name)
}

func notFound(arn string) error {
	return refuse("NotFoundException", "Key '"+arn+"' does not exist")
}

// aliasKey is an alias's name in the state; those of Region have no prefix.
func aliasKey(region, name string) string {
	if region == Region {
		return name
	}
	return region + ":" + name
}

// aliasOf is the reverse of aliasKey.
func aliasOf(k string) (region, name string) {
	if region, name, ok := strings.Cut(k, ":"); ok {
		return region, name
	}
	return Region, k
}
