package document

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"intactfs/validate"
)

// maxDepth is how deep elements may nest.
const maxDepth = 10_000

// XML is the judge of a document with one root element. Encodings other than
// UTF-8 are read as if each byte were a character, which is enough to find the
// markup. What a document type says of its entities is believed, and no more.
func XML(content []byte) *validate.Error {
	x := elements{d: xml.NewDecoder(bytes.NewReader(content))}
	x.d.Entity = map[string]string{}
	x.d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return latin{r}, nil }
	for {
		place := x.d.InputOffset()
		token, err := x.d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return xmlFault(content, x.d.InputOffset(), err)
		}
		if reason := x.next(token); reason != "" {
			return at(content, place, "XML: "+reason)
		}
	}
	if len(x.open) > 0 || x.roots == 0 {
		return at(content, int64(len(content)), "XML: it ends before its root element does")
	}
	return nil
}

// elements holds the tokens of a document to what the tokenizer lets through.
type elements struct {
	d     *xml.Decoder
	open  []xml.Name
	roots int
}

// next says what is wrong with a token; "" if nothing is.
func (x *elements) next(token xml.Token) string {
	switch t := token.(type) {
	case xml.StartElement:
		return x.start(t)
	case xml.EndElement:
		return x.end(t)
	case xml.CharData:
		if len(x.open) == 0 && len(bytes.TrimSpace(bytes.TrimPrefix(t, mark))) > 0 {
			return "text outside of the root element"
		}
	case xml.Directive:
		for _, m := range entity.FindAllSubmatch(t, -1) {
			x.d.Entity[string(m[1])] = ""
		}
	}
	return ""
}

// entity finds the names that a document type declares.
var entity = regexp.MustCompile(`<!ENTITY\s+([^\s%"'>]+)\s`)

func (x *elements) start(t xml.StartElement) string {
	if len(x.open) == 0 {
		x.roots++
	}
	switch {
	case x.roots > 1:
		return "a second root element"
	case len(x.open) >= maxDepth:
		return "elements nest too deep"
	}
	seen := make(map[xml.Name]bool, len(t.Attr))
	for _, a := range t.Attr {
		if seen[a.Name] {
			return fmt.Sprintf("the attribute %s is there twice", a.Name.Local)
		}
		seen[a.Name] = true
	}
	x.open = append(x.open, t.Name)
	return ""
}

func (x *elements) end(t xml.EndElement) string {
	if len(x.open) == 0 {
		return fmt.Sprintf("the end of %s, which did not begin", t.Name.Local)
	}
	last := x.open[len(x.open)-1]
	if last != t.Name {
		return fmt.Sprintf("the end of %s, where %s ends first", t.Name.Local, last.Local)
	}
	x.open = x.open[:len(x.open)-1]
	return ""
}

func xmlFault(content []byte, offset int64, err error) *validate.Error {
	reason := strings.TrimPrefix(err.Error(), "xml: ")
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		reason = syntax.Msg
	}
	return at(content, offset, "XML: "+reason)
}

// latin makes UTF-8 of ISO 8859-1.
type latin struct{ r io.Reader }

// Read implements io.Reader. Each byte may become two: it reads into the
// second half and writes from the start, which never overtakes it.
func (l latin) Read(p []byte) (int, error) {
	half := len(p) / 2
	if half == 0 {
		return 0, io.ErrShortBuffer
	}
	n, err := l.r.Read(p[half : 2*half])
	out := p[:0]
	for _, b := range p[half:][:n] {
		out = append(out, string(rune(b))...)
	}
	return len(out), err
}
