package crashlab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// copyImage copies a disk to a sparse file.
func copyImage(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	var size int64
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return fmt.Errorf("keep image: %w", err)
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("keep image: %w", err)
		}
	}
	if err := out.Truncate(size); err != nil {
		return fmt.Errorf("keep image: %w", err)
	}
	return nil
}
