package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"intactfs/journal/disk"

	"github.com/klauspost/compress/zstd"
)

// maxDigits is the frame length that a line has room for while it is not
// known yet.
const maxDigits = 1<<62 - 1

// stream adds a content too large to be held in memory, whole. The frame is
// written first and the line into the room left for it before: until the
// pack is synced none of it counts.
func (a *appender) stream(ctx context.Context, rec record, content io.ReaderAt) error {
	if err := a.room(&rec, rec.Size); err != nil {
		return err
	}
	if err := a.flush(); err != nil {
		return err
	}
	rec.frameLen, rec.frameCRC = maxDigits, 1<<32-1
	draft, err := a.head(&rec, 0)
	if err != nil {
		return err
	}
	out := &frameWriter{f: a.f, step: "history:append", off: rec.frameOff, crc: crc32.New(castagnoli)}
	err = compress(ctx, out, content, rec.Size, rec.SHA256)
	if err != nil {
		// What was written so far has no line and is cut off with it.
		return errors.Join(err, a.cut())
	}
	rec.frameLen, rec.frameCRC = out.off-rec.frameOff, out.crc.Sum32()
	head, err := a.head(&rec, len(draft))
	if err != nil {
		return errors.Join(err, a.cut())
	}
	a.buf = append(a.buf, head...)
	if err := a.flush(); err != nil {
		return err
	}
	a.flat = rec.end()
	a.took(rec)
	return nil
}

// cut takes the bytes behind the last entry off the pack again.
func (a *appender) cut() error {
	if err := a.f.Truncate("history:cut", a.t.off); err != nil {
		return errors.Join(err, a.abandon())
	}
	return nil
}

// compress writes content to w as one frame, and verifies what it read.
func compress(ctx context.Context, w io.Writer, content io.ReaderAt, size int64, want digest) error {
	enc, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	sum := sha256.New()
	from := &ctxReader{ctx, io.NewSectionReader(content, 0, size)}
	n, err := io.Copy(io.MultiWriter(enc, sum), from)
	if err = errors.Join(err, enc.Close()); err != nil {
		return err
	}
	if n != size || digest(sum.Sum(nil)) != want {
		return fmt.Errorf("%w: %d of %d bytes", ErrMismatch, n, size)
	}
	return nil
}

// ctxReader ends with the context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// frameWriter appends to a file at an offset of its own.
type frameWriter struct {
	f    disk.File
	step disk.Step
	off  int64
	crc  hash.Hash32
}

func (w *frameWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(w.step, p, w.off)
	w.off += int64(n)
	_, _ = w.crc.Write(p[:n])
	return n, err
}

// streamContent reads a whole frame of any size. It is decompressed as it is
// read, forward; reading backward begins at the front again.
type streamContent struct {
	mu   sync.Mutex // guards what follows
	f    disk.File
	rec  record
	dec  *zstd.Decoder
	off  int64 // of the decoder in the content
	skip []byte
}

// openStream verifies the frame from end to end before it returns.
func openStream(ctx context.Context, f disk.File, rec record) (*streamContent, error) {
	if err := checkFrame(f, &rec); err != nil {
		return nil, err
	}
	return newStream(ctx, f, rec)
}

// newStream is openStream for a frame whose checksum is not known.
func newStream(ctx context.Context, f disk.File, rec record) (*streamContent, error) {
	c := &streamContent{f: f, rec: rec}
	if err := c.rewind(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, &ctxReader{ctx, c.dec})
	if err == nil && (n != rec.Size || digest(sum.Sum(nil)) != rec.SHA256) {
		err = fmt.Errorf("%w: version %d in %s does not match its digest", ErrDamaged, rec.Tx, rec.Pack)
	}
	if err == nil {
		err = c.rewind()
	}
	if err != nil {
		c.dec.Close()
		return nil, err
	}
	return c, nil
}

func (c *streamContent) rewind() error {
	frame := io.NewSectionReader(c.f, c.rec.frameOff, c.rec.frameLen)
	c.off = 0
	if c.dec != nil {
		return c.dec.Reset(frame)
	}
	dec, err := zstd.NewReader(frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	c.dec = dec
	return err
}

// ReadAt implements io.ReaderAt.
func (c *streamContent) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if off >= c.rec.Size {
		return 0, io.EOF
	}
	if off < c.off {
		if err := c.rewind(); err != nil {
			return 0, err
		}
	}
	if c.skip == nil {
		c.skip = make([]byte, 64<<10)
	}
	for c.off < off {
		n, err := io.ReadFull(c.dec, c.skip[:min(int64(len(c.skip)), off-c.off)])
		c.off += int64(n)
		if err != nil {
			return 0, fmt.Errorf("read version %d in %s: %w", c.rec.Tx, c.rec.Pack, err)
		}
	}
	n, err := io.ReadFull(c.dec, p)
	c.off += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Close implements io.Closer.
func (c *streamContent) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dec.Close()
	return c.f.Close()
}

// Size implements Content.
func (c *streamContent) Size() int64 { return c.rec.Size }
