package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A saver replaces the content of a file.
type saver func(path string, content []byte) error

// saveInPlace is how most programs save: truncate, write, close. It is
// neither atomic nor durable on a native file system.
func saveInPlace(path string, content []byte) error {
	return saveChunked(len(content)+1)(path, content)
}

// saveChunked is saveInPlace with writes of at most chunk bytes.
func saveChunked(chunk int) saver {
	return func(path string, content []byte) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		return errors.Join(writeChunks(f, content, chunk), f.Close())
	}
}

// saveInPlaceSynced is saveChunked with an fsync before the close.
func saveInPlaceSynced(chunk int) saver {
	return func(path string, content []byte) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		err = writeChunks(f, content, chunk)
		if err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	}
}

func writeChunks(f *os.File, content []byte, chunk int) error {
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := f.Write(content[:n]); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// saveCarefully is the native atomic recipe: temporary file, fsync, rename,
// fsync of the directory.
func saveCarefully(path string, content []byte) error {
	return saveCarefullyChunked(len(content)+1)(path, content)
}

// saveCarefullyChunked is saveCarefully with writes of at most chunk bytes.
func saveCarefullyChunked(chunk int) saver {
	return func(path string, content []byte) error {
		tmp := path + ".tmp"
		if err := saveInPlaceSynced(chunk)(tmp, content); err != nil {
			return err
		}
		if err := os.Rename(tmp, path); err != nil {
			return err
		}
		d, err := os.Open(filepath.Dir(path))
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	}
}

// savers by the name that a writer process is given.
var savers = map[string]func(chunk int) saver{
	"in-place": saveChunked, "synced": saveInPlaceSynced, "careful": saveCarefullyChunked,
}

// document is a JSON object of exactly size bytes that differs for every n.
func document(n, size int) []byte {
	head := fmt.Sprintf(`{"n": %d, "records": [`, n)
	out := make([]byte, 0, size)
	out = append(out, head...)
	const tail = "\n]}"
	for i := 0; ; i++ {
		sep := ","
		if i == 0 {
			sep = ""
		}
		record := fmt.Sprintf("%s\n  {\"id\": %d, \"name\": \"pattern %d\", \"weight\": 0.%05d, \"seen\": true}", sep, i, i*7, (i*31+n)%99991)
		if len(out)+len(record)+len(tail)+8 > size {
			break
		}
		out = append(out, record...)
	}
	for len(out)+len(tail) < size {
		out = append(out, ' ')
	}
	return append(out, tail...)
}
