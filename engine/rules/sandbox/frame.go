package sandbox

import (
	"bufio"
	"encoding/binary"
	"io"
)

// A frame is the length of what follows, the request's id, one byte that says what
// is asked or answered, and a payload.
const (
	lengthSize = 4
	headerSize = lengthSize + 8 + 1
)

// newFrame returns a writer with room for the header.
func newFrame() *writer { return &writer{b: make([]byte, headerSize, 1024)} }

// seal fills in the header.
func (w *writer) seal(id uint64, code byte) []byte {
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-lengthSize))
	binary.BigEndian.PutUint64(w.b[lengthSize:], id)
	w.b[headerSize-1] = code
	return w.b
}

// frame is one that was read.
type frame struct {
	id      uint64
	code    byte
	payload []byte
}

// readFrame reads a frame with a payload of at most limit bytes into buf or a new
// buffer. A longer one is not read at all.
func readFrame(from *bufio.Reader, limit int, buf []byte) (frame, error) {
	header, err := from.Peek(headerSize)
	if err != nil {
		return frame{}, err
	}
	n := int64(binary.BigEndian.Uint32(header)) + lengthSize - headerSize
	if n < 0 || n > int64(limit) {
		return frame{}, errWire
	}
	f := frame{id: binary.BigEndian.Uint64(header[lengthSize:]), code: header[headerSize-1]}
	if _, err := from.Discard(headerSize); err != nil {
		return frame{}, err
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	f.payload = buf[:n]
	_, err = io.ReadFull(from, f.payload)
	return f, err
}
