package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"intactfs/backup"
)

// Durability is what a close that returned success promises.
type Durability string

// The durabilities.
const (
	Full    Durability = "full"    // survives power loss
	Relaxed Durability = "relaxed" // whole, but the last second may be lost
)

// Conflict is what happens to a commit whose base was replaced meanwhile.
type Conflict string

// The answers to a conflict.
const (
	ConflictKeep   Conflict = "keep"   // the last close wins, both are kept
	ConflictRefuse Conflict = "refuse" // the close fails
)

// ShrinkAction is what happens to a valid save that loses nearly everything.
type ShrinkAction string

// The answers to a drastic shrink.
const (
	ShrinkReport ShrinkAction = "report" // committed, reported, predecessor pinned
	ShrinkRefuse ShrinkAction = "refuse" // goes to quarantine
	ShrinkOff    ShrinkAction = "off"
)

// The formats a rule can name.
const (
	FormatJSON   = "json"
	FormatJSONL  = "jsonl"
	FormatYAML   = "yaml"
	FormatTOML   = "toml"
	FormatXML    = "xml"
	FormatCSV    = "csv"
	FormatINI    = "ini"
	FormatExec   = "exec"   // what a command says
	FormatOpaque = "opaque" // protected, but only against emptiness and killed writers
	FormatNone   = "none"   // not protected
)

// formats are all of them, and formatNames how a person reads them.
var (
	formats = []string{
		FormatJSON, FormatJSONL, FormatYAML, FormatTOML, FormatXML, FormatCSV, FormatINI, FormatExec, FormatOpaque, FormatNone,
	}
	formatNames = strings.Join(formats[:len(formats)-1], ", ") + " or " + FormatNone
)

// ParseRule reads a rule as a flag gives it, GLOB=FORMAT.
func ParseRule(text string) (RuleConfig, error) {
	glob, format, ok := strings.Cut(text, "=")
	if !ok {
		return RuleConfig{}, fmt.Errorf("rule %q: write it as GLOB=FORMAT", text)
	}
	r := RuleConfig{Glob: glob, Format: format}
	bad := func(key, format string, args ...any) *badValue {
		return &badValue{ConfigError: ConfigError{Msg: fmt.Sprintf(format, args...)}, key: key}
	}
	if b := r.check(bad); b != nil {
		return RuleConfig{}, fmt.Errorf("rule %q: %s", text, b.Msg)
	}
	return r, nil
}

// Size is a count of bytes, written in config.toml as 1048576 or "1MiB".
type Size int64

// UnmarshalText reads "1MiB", "20 MB" or a plain number.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil {
		return fmt.Errorf("size %q: write it as 1048576 or \"1MiB\"", text)
	}
	*s = Size(n)
	return nil
}

// Duration is a length of time, written in config.toml as "200ms" or "31d".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads, or a whole number of
// days, weeks or years; nothing negative.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	v, err := time.ParseDuration(s)
	for unit, hours := range map[string]int64{"d": 24, "w": 7 * 24, "y": 366 * 24} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			var count int64
			count, err = strconv.ParseInt(n, 10, 32)
			v = time.Duration(count*hours) * time.Hour
		}
	}
	if err != nil || v < 0 {
		return fmt.Errorf("duration %q: write it as \"200ms\", \"2h\" or \"31d\"", text)
	}
	*d = Duration(v)
	return nil
}

// Config is config.toml. The zero value of a field stands for its default.
type Config struct {
	Durability   Durability `toml:"durability"`
	IdleCommit   *Duration  `toml:"idle_commit"`   // quiet time after which an open, valid stage is committed; 0: never
	PublishDelay Duration   `toml:"publish_delay"` // how long the backing directory may lag
	SegmentSize  Size       `toml:"segment_size"`  // of a file of the journal, which has three at least; 0: 16 MiB
	OnConflict   Conflict   `toml:"on_conflict"`
	DefaultRules *bool      `toml:"default_rules"` // false: only the rules below

	Shrink     ShrinkConfig     `toml:"shrink"`
	Retention  RetentionConfig  `toml:"retention"`
	Quarantine QuarantineConfig `toml:"quarantine"`
	Rules      []RuleConfig     `toml:"rule"`
}

// ShrinkConfig says what happens to a drastic shrink.
type ShrinkConfig struct {
	Action ShrinkAction `toml:"action"`
}

// RetentionConfig says which versions of a file are kept: what is not given is
// as in backup.DefaultPolicy. A time of 0 switches its rule off.
type RetentionConfig struct {
	Last    *int      `toml:"last"`   // the newest ones
	Hourly  *Duration `toml:"hourly"` // for so long, one an hour
	Daily   *Duration `toml:"daily"`
	Weekly  *Duration `toml:"weekly"`
	Monthly *Duration `toml:"monthly"`
	Yearly  *Duration `toml:"yearly"`
	Forget  Duration  `toml:"forget"`   // drop the history of files removed so long ago; 0: never
	MaxSize Size      `toml:"max_size"` // bytes of history per file; 0: no bound
}

// QuarantineConfig bounds the refused contents that are kept. 0 is the
// default of backup.Options.
type QuarantineConfig struct {
	MaxFiles int  `toml:"max_files"` // per path
	MaxSize  Size `toml:"max_size"`  // of all together
}

// RuleConfig is one [[rule]] of config.toml: the first that matches a path
// judges it.
type RuleConfig struct {
	Glob       string       `toml:"glob"`
	Format     string       `toml:"format"`
	Strict     bool         `toml:"strict"`   // to the letter, and never held to less because an old version was
	Comments   bool         `toml:"comments"` // comments and trailing commas are fine in any version of JSON
	Schema     string       `toml:"schema"`   // file with a JSON Schema, below the directory
	Command    []string     `toml:"command"`  // of the format exec
	Timeout    *Duration    `toml:"timeout"`  // of the command
	AllowEmpty bool         `toml:"allow_empty"`
	OnConflict Conflict     `toml:"on_conflict"`
	Shrink     ShrinkAction `toml:"shrink"`
}

// The bounds of a segment of the journal, in bytes: a smaller one has no room
// for the contents that travel inside it, a larger one delays recovery.
const (
	minSegmentSize = 2 << 20
	maxSegmentSize = 1 << 30
)

// DefaultConfig is what holds without a config.toml.
func DefaultConfig() Config {
	c, err := ParseConfig("default", nil)
	if err != nil {
		panic(err) // the empty document is valid
	}
	return c
}

// ParseConfig reads the text of a config.toml and fills in the defaults.
// Unknown keys, unknown values and malformed TOML are a *ConfigError that
// names file, line and column.
func ParseConfig(file string, text []byte) (Config, error) {
	var c Config
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, tomlError(file, err)
	}
	c.setDefaults()
	if err := c.check(); err != nil {
		err.File = file
		if err.Line == 0 {
			err.Line, err.Column = locate(text, err)
		}
		return Config{}, &err.ConfigError
	}
	return c, nil
}

// tomlError turns the decoder's errors into one of ours, with its place.
func tomlError(file string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		first := strict.Errors[0]
		line, col := first.Position()
		return &ConfigError{File: file, Line: line, Column: col,
			Msg: "unknown key " + strings.Join(first.Key(), ".")}
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, col := decode.Position()
		return &ConfigError{File: file, Line: line, Column: col,
			Msg: strings.TrimPrefix(decode.Error(), "toml: ")}
	}
	return &ConfigError{File: file, Msg: err.Error()}
}

func (c *Config) setDefaults() {
	if c.Durability == "" {
		c.Durability = Full
	}
	if c.IdleCommit == nil {
		d := Duration(200 * time.Millisecond)
		c.IdleCommit = &d
	}
	if c.PublishDelay == 0 {
		c.PublishDelay = Duration(2 * time.Second)
	}
	if c.OnConflict == "" {
		c.OnConflict = ConflictKeep
	}
	if c.Shrink.Action == "" {
		c.Shrink.Action = ShrinkReport
	}
}

// badValue is a ConfigError that also knows the key path of its mistake, so
// that the place can be found afterwards.
type badValue struct {
	ConfigError
	key  string
	rule int // index of the [[rule]], -1: none
}

func (c *Config) check() *badValue {
	bad := func(key, format string, args ...any) *badValue {
		return &badValue{ConfigError: ConfigError{Msg: fmt.Sprintf(format, args...)}, key: key, rule: -1}
	}
	switch {
	case c.Durability != Full && c.Durability != Relaxed:
		return bad("durability", "durability is %q, want full or relaxed", c.Durability)
	case !c.OnConflict.valid():
		return bad("on_conflict", "on_conflict is %q, want keep or refuse", c.OnConflict)
	case !c.Shrink.Action.valid():
		return bad("action", "shrink.action is %q, want report, refuse or off", c.Shrink.Action)
	case c.SegmentSize != 0 && (c.SegmentSize < minSegmentSize || c.SegmentSize > maxSegmentSize):
		return bad("segment_size", "segment_size is %d, want 2MiB to 1GiB", int64(c.SegmentSize))
	case c.Quarantine.MaxFiles < 0:
		return bad("max_files", "quarantine.max_files is %d, want 0 or more", c.Quarantine.MaxFiles)
	case c.Retention.Last != nil && *c.Retention.Last < 1:
		return bad("last", "retention.last is %d, want at least 1: files are checked against their newest version", *c.Retention.Last)
	}
	for i := range c.Rules {
		if b := c.Rules[i].check(bad); b != nil {
			b.rule = i
			return b
		}
	}
	return nil
}

// policy is the retention as package backup takes it.
func (r *RetentionConfig) policy() backup.Policy {
	p := backup.DefaultPolicy()
	if r.Last != nil {
		p.Last = *r.Last
	}
	for _, f := range []struct {
		to   *time.Duration
		from *Duration
	}{{&p.Hourly, r.Hourly}, {&p.Daily, r.Daily}, {&p.Weekly, r.Weekly}, {&p.Monthly, r.Monthly}, {&p.Yearly, r.Yearly}} {
		if f.from != nil {
			*f.to = time.Duration(*f.from)
		}
	}
	p.Forget = time.Duration(r.Forget)
	p.MaxBytes = int64(r.MaxSize)
	return p
}

func (r *RuleConfig) check(bad func(string, string, ...any) *badValue) *badValue {
	if r.Glob == "" {
		return bad("", "a rule needs a glob")
	}
	if err := checkGlob(r.Glob); err != nil {
		return bad("glob", "glob %q: %v", r.Glob, err)
	}
	switch {
	case r.Format == "":
		return bad("glob", "rule %q needs a format: %s", r.Glob, formatNames)
	case !slices.Contains(formats, r.Format):
		return bad("format", "format is %q, want %s", r.Format, formatNames)
	}
	if b := r.checkJudge(bad); b != nil {
		return b
	}
	if r.Strict && r.Comments {
		return bad("comments", "a rule can't be strict and allow comments")
	}
	if r.OnConflict != "" && !r.OnConflict.valid() {
		return bad("on_conflict", "on_conflict is %q, want keep or refuse", r.OnConflict)
	}
	if r.Shrink != "" && !r.Shrink.valid() {
		return bad("shrink", "shrink is %q, want report, refuse or off", r.Shrink)
	}
	return nil
}

// checkJudge finds mistakes in what belongs to some formats only.
func (r *RuleConfig) checkJudge(bad func(string, string, ...any) *badValue) *badValue {
	switch {
	case r.Comments && r.Format != FormatJSON && r.Format != FormatJSONL:
		return bad("comments", "comments are for the formats json and jsonl")
	case r.Schema != "" && r.Format != FormatJSON && r.Format != FormatYAML && r.Format != FormatTOML:
		return bad("schema", "a schema is for the formats json, yaml and toml")
	case r.Schema != "" && r.Comments:
		return bad("schema", "a rule can't have a schema and allow comments")
	case r.Schema != "" && !filepath.IsLocal(r.Schema):
		return bad("schema", "schema is %q, want a file below the directory", r.Schema)
	case r.Format == FormatExec && (len(r.Command) == 0 || r.Command[0] == ""):
		return bad("format", "the format exec needs a command, as a list: [\"program\", \"argument\"]")
	case r.Format != FormatExec && r.Command != nil:
		return bad("command", "a command is for the format exec")
	case r.Format != FormatExec && r.Timeout != nil:
		return bad("timeout", "a timeout is for the format exec")
	case r.Timeout != nil && *r.Timeout == 0:
		return bad("timeout", "the timeout of a command can't be 0")
	}
	return nil
}

func (c Conflict) valid() bool { return c == ConflictKeep || c == ConflictRefuse }

func (a ShrinkAction) valid() bool {
	return a == ShrinkReport || a == ShrinkRefuse || a == ShrinkOff
}

// locate finds the line and column of the key a badValue complains of: the
// decoder forgets places once it has a value.
func locate(text []byte, b *badValue) (line, column int) {
	p := unstable.Parser{}
	p.Reset(text)
	rule := -1
	for p.NextExpression() {
		e := p.Expression()
		last := lastKey(e)
		if last == nil {
			continue
		}
		shape := p.Shape(last.Raw)
		switch {
		case e.Kind == unstable.ArrayTable:
			rule++
			if rule == b.rule && b.key == "" {
				return shape.Start.Line, shape.Start.Column
			}
		case e.Kind == unstable.KeyValue && string(last.Data) == b.key && rule == b.rule:
			return shape.Start.Line, shape.Start.Column
		}
	}
	return 0, 0
}

func lastKey(e *unstable.Node) *unstable.Node {
	if e.Kind != unstable.KeyValue && e.Kind != unstable.ArrayTable && e.Kind != unstable.Table {
		return nil
	}
	var last *unstable.Node
	for it := e.Key(); it.Next(); {
		last = it.Node()
	}
	return last
}
