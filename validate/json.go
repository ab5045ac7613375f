package validate

// JSON returns a Checker for one JSON document.
func JSON(o Options) Checker {
	return &document{scan: newScanner(o)}
}

// document is the Checker of a JSON document: the scanner and how far it got.
type document struct {
	scan scanner
	at   position // after a fault: of the wrong byte
}

var _ Checker = (*document)(nil)

func (d *document) Write(p []byte) (int, error) {
	if d.scan.state != broken {
		d.at.advance(p[:d.scan.run(p)])
	}
	return len(p), nil
}

func (d *document) Verdict() Verdict { return d.scan.verdict() }

func (d *document) Err() *Error {
	if d.Verdict() == Whole {
		return nil
	}
	return d.at.fault(d.scan.reason("document"))
}

func (d *document) Proven() bool { return d.scan.proven() }

func (d *document) Clone() Checker {
	return &document{scan: d.scan.clone(), at: d.at}
}
