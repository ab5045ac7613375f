package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"

	"intactfs/validate"
)

// YAML returns the judge of a stream of YAML documents. Strict refuses a key
// that is twice in one mapping, as YAML itself does, and many programs don't.
func YAML(strict bool) Judge {
	return func(content []byte) *validate.Error {
		if fault := text(content); fault != nil {
			return fault
		}
		loader, err := yaml.NewLoader(bytes.NewReader(content))
		if err != nil {
			return at(content, 0, err.Error())
		}
		for {
			var node yaml.Node
			err := loader.Load(&node)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return yamlFault(content, err)
			}
			if !strict {
				continue
			}
			if twice := duplicate(&node); twice != nil {
				return atLine(content, int64(twice.Line), int64(twice.Column), fmt.Sprintf("the key %q is there twice", twice.Value))
			}
		}
	}
}

func yamlFault(content []byte, err error) *validate.Error {
	var load *yaml.LoadError
	if errors.As(err, &load) && load.Mark.Line > 0 {
		return atLine(content, int64(load.Mark.Line), int64(load.Mark.Column), "YAML: "+load.Message)
	}
	return at(content, int64(len(content)), "YAML: "+err.Error())
}

// duplicate finds a key of a mapping that is another one's repetition.
func duplicate(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.MappingNode {
		seen := make(map[[2]string]bool, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				continue
			}
			id := [2]string{key.Tag, key.Value}
			if seen[id] {
				return key
			}
			seen[id] = true
		}
	}
	for _, child := range node.Content {
		if twice := duplicate(child); twice != nil {
			return twice
		}
	}
	return nil
}
