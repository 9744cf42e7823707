package localkey

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// Scheme begins the URIs of this provider, without the colon.
const Scheme = "local"

// location is a parsed URI.
type location struct {
	path   string // absolute
	id     fingerprint
	pinned bool // the URI names the key that must be at path
}

// parseURI parses "local:PATH" and "local:PATH?id=FINGERPRINT". In PATH the
// characters %, ? and # are percent-encoded. No value of the URI appears in an
// error but the path and the names of parameters.
func parseURI(uri string) (location, error) {
	rest, ok := strings.CutPrefix(uri, Scheme+":")
	if !ok {
		return location{}, errors.New(`a local key URI begins with "local:"`)
	}
	escaped, query, _ := strings.Cut(rest, "?")
	if strings.Contains(escaped, "#") {
		return location{}, errors.New("write # in the path of a local key URI as %23")
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return location{}, errors.New("the path of a local key URI has a bad escape: write % as %25")
	}
	switch {
	case path == "":
		return location{}, errors.New("a local key URI names a file: local:PATH")
	case strings.ContainsRune(path, 0):
		return location{}, errors.New("the path of a local key URI holds a zero byte")
	case strings.HasPrefix(path, "~/"):
		return location{}, errors.New("~ is not expanded in a local key URI: write the path out")
	}
	loc := location{}
	if loc.path, err = filepath.Abs(path); err != nil {
		return location{}, fmt.Errorf("make the key file's path absolute: %w", err)
	}
	if err := loc.parseQuery(query); err != nil {
		return location{}, err
	}
	return loc, nil
}

func (l *location) parseQuery(query string) error {
	params, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the parameters of a local key URI do not parse")
	}
	for name, values := range params {
		if name != "id" {
			return fmt.Errorf("unknown parameter %q in a local key URI; known: id", name)
		}
		if len(values) != 1 {
			return errors.New("parameter id is given more than once")
		}
		b, err := hex.DecodeString(values[0])
		if err != nil || len(b) != fingerprintSize {
			return fmt.Errorf("parameter id has %d hexadecimal digits", 2*fingerprintSize)
		}
		l.id, l.pinned = fingerprint(b), true
	}
	return nil
}

var pathEscaper = strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23")

// uri returns the location as a URI that works from any directory.
func (l location) uri() string {
	s := Scheme + ":" + pathEscaper.Replace(l.path)
	if l.pinned {
		s += "?id=" + l.id.String()
	}
	return s
}
