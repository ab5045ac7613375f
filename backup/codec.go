package backup

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// smallContent is the size below which versions are deltas against
	// their keyframe, with an encoder that is kept; from it on they are
	// deltas against the version before.
	smallContent = 256 << 10
	// largeContent is the size beyond which a version is compressed as it
	// streams by, whole, because base and content would have to be in
	// memory together.
	largeContent = 64 << 20
	// fastDict is the size of a keyframe up to which the fastest level
	// finds the matches that the default level does, with a quarter of
	// the memory.
	fastDict = 32 << 10
	// maxEncoders bounds the encoders kept for small keyframes: they take
	// 1 to 4 MiB each.
	maxEncoders = 8
)

// codec compresses contents and undoes it. Deltas are frames whose raw
// dictionary, id 0, is the content they are a delta against.
type codec struct {
	whole *zstd.Encoder
	plain *zstd.Decoder

	// large serializes the deltas of large contents: one takes several
	// times the content's size in memory.
	large sync.Mutex

	mu    sync.Mutex
	small *lru[digest, *zstd.Encoder]
	known *lru[digest, []byte] // contents, by what they hash to
}

type digest = [sha256.Size]byte

func newCodec(cacheBytes int64) (*codec, error) {
	whole, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	plain, err := newDecoder(nil)
	if err != nil {
		return nil, err
	}
	return &codec{
		whole: whole, plain: plain,
		small: newLRU[digest, *zstd.Encoder](maxEncoders),
		known: newLRU[digest, []byte](cacheBytes),
	}, nil
}

func newDecoder(base []byte) (*zstd.Decoder, error) {
	opts := []zstd.DOption{
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(largeContent + 1), zstd.WithDecoderMaxWindow(4 * largeContent),
	}
	if base != nil {
		opts = append(opts, zstd.WithDecoderDictRaw(0, base))
	}
	return zstd.NewReader(nil, opts...)
}

// remember keeps a content for the next delta or read. It must not change.
func (c *codec) remember(sum digest, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.put(sum, content, int64(len(content)))
}

func (c *codec) recall(sum digest) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.get(sum)
}

// encodeWhole returns content as a frame of its own.
func (c *codec) encodeWhole(content []byte) []byte {
	return c.whole.EncodeAll(content, nil)
}

// encodeDelta returns content as a frame against base, whose digest is sum.
func (c *codec) encodeDelta(sum digest, base, content []byte) ([]byte, error) {
	if len(base) < smallContent && len(content) < smallContent {
		enc, err := c.smallEncoder(sum, base)
		if err != nil {
			return nil, err
		}
		return enc.EncodeAll(content, nil), nil
	}
	c.large.Lock()
	defer c.large.Unlock()
	if frame := patch(base, content); frame != nil && undoes(frame, base, content) {
		return frame, nil
	}
	enc, err := dictEncoder(base, len(content), zstd.SpeedBetterCompression)
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(content, make([]byte, 0, 64<<10)), nil
}

// undoes reports whether a frame made by patch is what it should be. All later
// versions hang on it, and the decoder, which is not of this package, will be
// the judge of it then.
func undoes(frame, base, content []byte) bool {
	dec, err := newDecoder(base)
	if err != nil {
		return false
	}
	defer dec.Close()
	got, err := dec.DecodeAll(frame, make([]byte, 0, len(content)))
	return err == nil && bytes.Equal(got, content)
}

func (c *codec) smallEncoder(sum digest, base []byte) (*zstd.Encoder, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if enc, ok := c.small.get(sum); ok {
		return enc, nil
	}
	level := zstd.SpeedDefault
	if len(base) <= fastDict {
		level = zstd.SpeedFastest
	}
	enc, err := dictEncoder(base, smallContent, level)
	if err != nil {
		return nil, err
	}
	c.small.put(sum, enc, 1)
	return enc, nil
}

// dictEncoder returns an encoder for contents of up to size bytes. Its window
// spans base and content, so that a match reaches all of the base from
// everywhere in the content.
func dictEncoder(base []byte, size int, level zstd.EncoderLevel) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderDictRaw(0, base), zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(windowFor(base, size)),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
}

func windowFor(base []byte, size int) int {
	return max(zstd.MinWindowSize, 1<<bits.Len(uint(len(base)+size)))
}

// decode undoes a frame of at most largeContent bytes; base is nil for a
// whole one. The result may take the room of spare, which nobody uses any
// more. It returns an error unless the result has size bytes.
func (c *codec) decode(frame, base, spare []byte, size int64) ([]byte, error) {
	var head zstd.Header
	if err := head.Decode(frame); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if head.HasFCS && head.FrameContentSize != uint64(size) { // it would be allocated
		return nil, fmt.Errorf("%w: frame is of %d bytes instead of %d", ErrDamaged, head.FrameContentSize, size)
	}
	dec := c.plain
	if base != nil {
		var err error
		if dec, err = newDecoder(base); err != nil {
			return nil, err
		}
		defer dec.Close()
	}
	room := min(size, 16*int64(len(frame))+int64(len(base))+1)
	if int64(cap(spare)) < room {
		spare = make([]byte, 0, room)
	}
	content, err := dec.DecodeAll(frame, spare[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if int64(len(content)) != size {
		return nil, fmt.Errorf("%w: content of %d bytes instead of %d", ErrDamaged, len(content), size)
	}
	return content, nil
}

// readAll reads size bytes of r and verifies that they hash to sum.
func readAll(r io.ReaderAt, size int64, sum digest) ([]byte, error) {
	content := make([]byte, size)
	if n, err := r.ReadAt(content, 0); n < len(content) {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: %d of %d bytes", ErrMismatch, n, size)
		}
		return nil, err
	}
	if sha256.Sum256(content) != sum {
		return nil, ErrMismatch
	}
	return content, nil
}

// bytesContent is a Content in memory.
type bytesContent struct{ *bytes.Reader }

// Close does nothing.
func (bytesContent) Close() error { return nil }

// Size returns the number of bytes.
func (b bytesContent) Size() int64 { return b.Reader.Size() }
