package validate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// SalvageLines copies the whole and the blank lines of a JSON Lines document
// and leaves out all others. What is written is Whole by the same options.
//
// It reads r once and to its end, and holds back at most a line of MaxHeld
// bytes. With ErrNothing only blank lines were written. After ErrTooLong, or
// an error of r or w, the lines before are written.
func SalvageLines(r io.Reader, w io.Writer, o Options) (Report, error) {
	s := sorter{w: w, scan: newScanner(o)}
	in := bufio.NewReaderSize(r, salvageChunk)
	for {
		line, err := s.read(in)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return s.report, fmt.Errorf("read line at offset %d: %w", s.at.offset, err)
		}
		if err := s.sort(line); err != nil {
			return s.report, fmt.Errorf("write line of offset %d: %w", s.at.offset, err)
		}
		if ended {
			break
		}
	}
	if !s.filled {
		return s.report, fmt.Errorf("mend lines: %w", ErrNothing)
	}
	return s.report, nil
}

// sorter is the state of SalvageLines.
type sorter struct {
	w      io.Writer
	report Report
	scan   scanner
	at     position // before the line
	filled bool     // a line with a value was written
	long   []byte   // the line, if it is longer than the reader's buffer
}

// read returns the next line with its line feed, good until the next call;
// with io.EOF the last one, without.
func (s *sorter) read(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	s.long = append(s.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		s.long = append(s.long, line...)
		if len(s.long) > MaxHeld {
			return nil, ErrTooLong
		}
	}
	return s.long, err
}

// sort writes a line or leaves it out. It returns only errors of w.
func (s *sorter) sort(line []byte) error {
	content := line
	if n := len(line) - 1; n >= 0 && line[n] == '\n' {
		content = line[:n]
	}
	good := s.scan.run(content)
	if s.scan.whole() || s.scan.blank() {
		s.filled = s.filled || s.scan.whole()
		n, err := s.w.Write(line)
		s.report.Kept += int64(n)
		if err != nil {
			return err
		}
	} else {
		if s.report.Fault == nil {
			fault := s.at
			fault.advance(line[:good])
			s.report.Fault = fault.fault(s.scan.reason("line"))
		}
		s.report.Lost += int64(len(line))
		s.report.Lines++
	}
	s.at.advance(line)
	s.scan.restart()
	return nil
}
