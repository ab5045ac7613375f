package document

import (
	"strings"
	"testing"
)

const person = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["name"],
  "properties": {
    "name": {"type": "string"},
    "ages": {"type": "array", "items": {"type": "integer", "minimum": 0}}
  }
}`

func newSchema(t *testing.T, text string) *Schema {
	t.Helper()
	s, err := NewSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaOfJSON(t *testing.T) {
	check(t, newSchema(t, person).JSON, []judged{
		{"valid", `{"name": "x", "ages": [1, 2]}`, 0, 0, ""},
		{"a mark", "\ufeff" + `{"name": "x"}`, 0, 0, ""},
		{"something missing", "\n{\"ages\": []}", 2, 1, "schema: /: missing property 'name'"},
		{"the wrong type", "{\n  \"name\": 7\n}", 2, 11, "schema: /name: got number, want string"},
		{"deep", "{\"name\": \"x\",\n \"ages\": [1,\n   -2]}", 3, 4, "schema: /ages/1: "},
		{"not an object", `[]`, 1, 1, "want object"},
		{"what JSON has not", `{"name": NaN}`, 1, 1, "can't be applied"},
	})
}

func TestSchemaOfYAML(t *testing.T) {
	check(t, newSchema(t, person).YAML, []judged{
		{"valid", "name: x\nages: [1, 2]\n", 0, 0, ""},
		{"the wrong type", "ages: []\nname: 7\n", 2, 7, "schema: /name: got number, want string"},
		{"deep", "name: x\nages:\n  - 1\n  - -2\n", 4, 5, "schema: /ages/1: "},
		{"in the second document", "name: x\n---\nages: []\n", 3, 1, "missing property"},
		{"no YAML", "name: [\n", 2, 1, "YAML"},
		{"keys that JSON has not", "name: x\n? [a]\n: b\n", 2, 3, "map key"},
	})
}

func TestSchemaOfTOML(t *testing.T) {
	check(t, newSchema(t, person).TOML, []judged{
		{"valid", "name = \"x\"\nages = [1, 2]\n", 0, 0, ""},
		{"the wrong type", "name = 7\n", 1, 1, "schema: /name: got number, want string"},
		{"no TOML", "name =\n", 1, 7, "TOML"},
	})
}

func TestSchemaMistakes(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"not JSON", "{", "read schema"},
		{"not a schema", `{"type": "nonsense"}`, "read schema"},
		{"a file of the machine", `{"$ref": "file:///etc/hostname"}`, errElsewhere.Error()},
		{"the network", `{"$ref": "https://example.org/schema.json"}`, errElsewhere.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewSchema([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
