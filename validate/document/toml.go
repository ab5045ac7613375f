package document

import (
	"bytes"
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"intactfs/validate"
)

// TOML is the judge of TOML 1.0.
func TOML(content []byte) *validate.Error {
	if fault := text(content); fault != nil {
		return fault
	}
	var table map[string]any
	err := toml.Unmarshal(bytes.TrimPrefix(content, mark), &table)
	if err == nil {
		return nil
	}
	reason := "TOML: " + strings.TrimPrefix(err.Error(), "toml: ")
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return atLine(content, int64(line), int64(column), reason)
	}
	return at(content, 0, reason)
}
