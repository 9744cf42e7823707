package sql

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
)

// dsnOptions are the parameters of a data source name.
type dsnOptions struct {
	keyURI  string
	session exec.Settings
	engine  engineOptions
}

// engineOptions are those that an engine is opened with. Names that share one
// must not ask for different ones.
type engineOptions struct {
	mustExist   bool
	minPosition engine.Position
	cacheSize   int64
	spillMax    int64
	sync        engine.SyncMode
	compression engine.Compression
	given       []string // the parameters that were given, but for must_exist
}

// dsnParameters parse the values of the parameters, by name.
var dsnParameters = map[string]func(o *dsnOptions, value string) error{
	"key": func(o *dsnOptions, value string) error {
		o.keyURI = value
		return nil
	},
	"busy_timeout": func(o *dsnOptions, value string) error {
		ms, err := strconv.ParseInt(value, 10, 32)
		if err != nil || ms < 0 {
			return errors.New("takes a number of milliseconds")
		}
		if o.session.BusyTimeout = time.Duration(ms) * time.Millisecond; ms == 0 {
			o.session.BusyTimeout = -1
		}
		return nil
	},
	"foreign_keys": func(o *dsnOptions, value string) (err error) {
		o.session.ForeignKeys, err = parseSwitch(value)
		return err
	},
	"statement_memory": func(o *dsnOptions, value string) (err error) {
		if o.session.StatementMemory, err = strconv.ParseInt(value, 10, 64); err != nil || o.session.StatementMemory < exec.StatementMemoryMin {
			return fmt.Errorf("takes a number of bytes, at least %d", exec.StatementMemoryMin)
		}
		return nil
	},
	"must_exist": func(o *dsnOptions, value string) (err error) {
		o.engine.mustExist, err = parseSwitch(value)
		return err
	},
	"min_position": func(o *dsnOptions, value string) error {
		return o.engine.minPosition.UnmarshalText([]byte(value))
	},
	"cache_size": func(o *dsnOptions, value string) (err error) {
		if o.engine.cacheSize, err = strconv.ParseInt(value, 10, 64); err != nil || o.engine.cacheSize <= 0 {
			return errors.New("takes a number of bytes")
		}
		return nil
	},
	"spill_max": func(o *dsnOptions, value string) (err error) {
		if o.engine.spillMax, err = strconv.ParseInt(value, 10, 64); err != nil || o.engine.spillMax <= 0 {
			return errors.New("takes a number of bytes")
		}
		return nil
	},
	"sync": func(o *dsnOptions, value string) error {
		mode, ok := map[string]engine.SyncMode{"full": engine.SyncFull, "interval": engine.SyncInterval, "off": engine.SyncOff}[value]
		if !ok {
			return errors.New("is full, interval or off")
		}
		o.engine.sync = mode
		return nil
	},
	"compression": func(o *dsnOptions, value string) error {
		c, ok := map[string]engine.Compression{
			"fast": engine.CompressFast, "more": engine.CompressMore, "none": engine.CompressNone,
		}[value]
		if !ok {
			return errors.New("is fast, more or none")
		}
		o.engine.compression = c
		return nil
	},
}

func parseSwitch(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "true", "yes", "1":
		return true, nil
	case "off", "false", "no", "0":
		return false, nil
	}
	return false, errors.New("is on or off")
}

// parseDSN takes a data source name apart.
func parseDSN(dsn string) (dir string, o dsnOptions, err error) {
	dir, query, _ := strings.Cut(dsn, "?")
	if dir == "" {
		return "", o, errors.New("byokdb: the data source name begins with the database's directory")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", o, fmt.Errorf("byokdb: %w", err)
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return "", o, errors.New("byokdb: the parameters of the data source name do not parse; escape & and ; in the key's URI")
	}
	for name, values := range params {
		parse := dsnParameters[name]
		if parse == nil {
			return "", o, fmt.Errorf("byokdb: unknown parameter %q in the data source name; there are %s", name, parameterNames())
		}
		if len(values) != 1 {
			return "", o, fmt.Errorf("byokdb: the data source name has more than one %s", name)
		}
		if err := parse(&o, values[0]); err != nil {
			return "", o, fmt.Errorf("byokdb: parameter %s of the data source name: %w", name, err)
		}
		switch name {
		case "min_position", "cache_size", "spill_max", "sync", "compression":
			o.engine.given = append(o.engine.given, name)
		}
	}
	slices.Sort(o.engine.given)
	return dir, o, nil
}

func parameterNames() string {
	names := make([]string, 0, len(dsnParameters))
	for name := range dsnParameters {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// verify refuses to share an engine that was opened with other options than
// those given.
func (o *engineOptions) verify(open *engineOptions) error {
	for _, name := range o.given {
		same := false
		switch name {
		case "min_position":
			same = o.minPosition == open.minPosition
		case "cache_size":
			same = o.cacheSize == open.cacheSize
		case "spill_max":
			same = o.spillMax == open.spillMax
		case "sync":
			same = o.sync == open.sync
		case "compression":
			same = o.compression == open.compression
		}
		if !same {
			return fmt.Errorf("the database is open in this process with another %s; data source names that share it cannot ask for different ones", name)
		}
	}
	return nil
}
