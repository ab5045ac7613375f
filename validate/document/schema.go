package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"intactfs/validate"
)

// A Schema is a JSON Schema that was read.
type Schema struct{ schema *jsonschema.Schema }

// NewSchema reads a JSON Schema of any draft up to 2020-12. It refuses one that
// refers to others: they would have to be fetched from somewhere.
func NewSchema(text []byte) (*Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	const name = "intact:schema"
	if err := c.AddResource(name, document); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return &Schema{schema}, nil
}

var errElsewhere = errors.New("a schema can't refer to another file")

type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errElsewhere }

// JSON judges a document of which it is known that it is JSON.
func (s *Schema) JSON(content []byte) *validate.Error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.TrimPrefix(content, mark)))
	if err != nil {
		return at(content, 0, "a schema can't be applied to this: "+err.Error())
	}
	return s.judge(content, value, func(path []string) *validate.Error {
		return at(content, jsonPlace(content, path), "")
	})
}

// YAML judges a YAML document, each of a stream.
func (s *Schema) YAML(content []byte) *validate.Error {
	if fault := YAML(false)(content); fault != nil {
		return fault
	}
	loader, err := yaml.NewLoader(bytes.NewReader(content))
	if err != nil {
		return at(content, 0, err.Error())
	}
	for {
		var node yaml.Node
		if err := loader.Load(&node); err != nil {
			return nil // the end: the documents were read before
		}
		var value any
		if err := node.Load(&value, yaml.WithUniqueKeys(false)); err != nil { // looking for them takes quadratic time
			return yamlFault(content, err)
		}
		plain, err := asJSON(value)
		if err != nil {
			return atLine(content, int64(node.Line), int64(node.Column), "a schema can't be applied to this: "+err.Error())
		}
		fault := s.judge(content, plain, func(path []string) *validate.Error {
			line, column := yamlPlace(&node, path)
			return atLine(content, int64(line), int64(column), "")
		})
		if fault != nil {
			return fault
		}
	}
}

// TOML judges a TOML document. It can't tell the place.
func (s *Schema) TOML(content []byte) *validate.Error {
	if fault := TOML(content); fault != nil {
		return fault
	}
	var table map[string]any
	if err := toml.Unmarshal(bytes.TrimPrefix(content, mark), &table); err != nil {
		return at(content, 0, err.Error())
	}
	value, err := asJSON(table)
	if err != nil {
		return at(content, 0, "a schema can't be applied to this: "+err.Error())
	}
	return s.judge(content, value, func([]string) *validate.Error { return at(content, 0, "") })
}

// asJSON makes of a value what a JSON document with it would be.
func asJSON(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// judge reports the deepest reason for the first thing that is wrong.
func (s *Schema) judge(content []byte, value any, place func(path []string) *validate.Error) *validate.Error {
	err := s.schema.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return at(content, 0, "schema: "+err.Error())
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	fault := place(invalid.InstanceLocation)
	where := "/" + strings.Join(invalid.InstanceLocation, "/")
	reason := invalid.Error()
	if _, after, ok := strings.Cut(reason, ": "); ok { // before it is the place, in other words
		reason = after
	}
	fault.Reason = "schema: " + where + ": " + strings.Join(strings.Fields(reason), " ")
	return fault
}

// jsonPlace is the offset of the value at a path of a document that is valid.
func jsonPlace(content []byte, path []string) int64 {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(content, mark)))
	shift := int64(len(content) - len(bytes.TrimPrefix(content, mark)))
	for _, name := range path {
		if !descend(d, name) {
			break
		}
	}
	off := d.InputOffset() + shift
	for off < int64(len(content)) && bytes.IndexByte([]byte(" \t\r\n,:"), content[off]) >= 0 {
		off++
	}
	return off
}

// descend moves a decoder before the member or element with the name.
func descend(d *json.Decoder, name string) bool {
	open, err := d.Token()
	if err != nil {
		return false
	}
	for i := 0; d.More(); i++ {
		key := fmt.Sprint(i)
		if open == json.Delim('{') {
			token, err := d.Token()
			if err != nil {
				return false
			}
			key = fmt.Sprint(token)
		}
		if key == name {
			return true
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return false
		}
	}
	return false
}

// yamlPlace is the line and column of the node at a path, or of the nearest
// above it.
func yamlPlace(node *yaml.Node, path []string) (line, column int) {
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, name := range path {
		next := child(node, name)
		if next == nil {
			break
		}
		node = next
	}
	return node.Line, node.Column
}

func child(node *yaml.Node, name string) *yaml.Node {
	for i, c := range node.Content {
		switch {
		case node.Kind == yaml.SequenceNode && fmt.Sprint(i) == name:
			return c
		case node.Kind == yaml.MappingNode && i%2 == 0 && c.Value == name && i+1 < len(node.Content):
			return node.Content[i+1]
		}
	}
	return nil
}
