package document

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"intactfs/validate"
)

// CSV returns the judge of records separated by commas, semicolons, tabs or
// bars, whichever the first record has most of. With even they all have as many
// fields as the first one.
func CSV(even bool) Judge {
	return func(content []byte) *validate.Error {
		if fault := text(content); fault != nil {
			return fault
		}
		body := bytes.TrimPrefix(content, mark)
		r := csv.NewReader(bytes.NewReader(body))
		r.Comma, r.ReuseRecord, r.FieldsPerRecord = separator(body), true, -1
		if even {
			r.FieldsPerRecord = 0
		}
		for {
			record, err := r.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			var parse *csv.ParseError
			switch {
			case errors.Is(err, csv.ErrFieldCount) && errors.As(err, &parse):
				return atLine(content, int64(parse.Line), 1, fmt.Sprintf("CSV: a record of %d fields among those of %d", len(record), r.FieldsPerRecord))
			case errors.As(err, &parse):
				return atLine(content, int64(parse.Line), int64(parse.Column), "CSV: "+parse.Err.Error())
			case err != nil:
				return at(content, 0, "CSV: "+err.Error())
			}
		}
	}
}

// separator is what separates the fields of the first record.
func separator(body []byte) rune {
	counts := map[byte]int{}
	quoted := false
	for _, b := range body {
		if b == '"' {
			quoted = !quoted
		}
		if b == '\n' && !quoted {
			break
		}
		if !quoted && b < utf8.RuneSelf {
			counts[b]++
		}
	}
	best := byte(',')
	for _, b := range []byte(";\t|") {
		if counts[b] > counts[best] {
			best = b
		}
	}
	return rune(best)
}
