package fleet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// TFTP (RFC 1350, 2347, 2348, 2349) as firmware speaks it.
const (
	tftpPort = 69
	// blockSize is what fits an Ethernet frame: 1500 bytes less IP, UDP and TFTP headers.
	blockSize    = 1468
	tftpWait     = time.Second
	tftpTries    = 6
	tftpOptError = 8

	opRRQ   = 1
	opData  = 3
	opAck   = 4
	opError = 5
	opOAck  = 6
)

// errTFTP is matched by what a TFTP server refused.
var errTFTP = errors.New("TFTP error")

// tftpBuffers are shared by all transfers.
type tftpBuffers struct{ pool sync.Pool }

func (b *tftpBuffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	buf := make([]byte, blockSize+64)
	return &buf
}

// transfer is one read request.
type transfer struct {
	conn   *net.UDPConn
	server netip.AddrPort // its port is the server's choice once it answered
	size   int64          // tsize, -1 when the server did not tell
	block  int
	buf    []byte
	last   []byte // what was sent last
}

// tftp reads a file and throws it away. Before that it asks for the file's size alone, as UEFI and
// many BIOS clients do. With stall it goes silent in the middle, until ctx is done.
func (s *session) tftp(ctx context.Context, server netip.Addr, file string, stall bool) (int64, error) {
	buf := s.node.fleet.tftp.get()
	defer s.node.fleet.tftp.pool.Put(buf)
	size, err := s.tftpRead(ctx, server, file, *buf, func(*transfer, int64) (bool, error) { return false, nil })
	if err != nil {
		return 0, fmt.Errorf("TFTP %s: size: %w", file, err)
	}
	n, err := s.tftpRead(ctx, server, file, *buf, func(t *transfer, done int64) (bool, error) {
		if stall && done >= max(1, t.size/2) {
			<-ctx.Done()
			return false, ctx.Err()
		}
		return true, nil
	})
	if err != nil {
		return n, fmt.Errorf("TFTP %s: %w", file, err)
	}
	if size >= 0 && n != size {
		return n, fmt.Errorf("TFTP %s: %d bytes arrived, the server said %d", file, n, size)
	}
	return n, nil
}

// tftpRead carries a transfer on as long as more says so, and gives the bytes that came; when more stops it at its
// beginning it gives the size.
func (s *session) tftpRead(ctx context.Context, server netip.Addr, file string, buf []byte, more func(*transfer, int64) (bool, error)) (int64, error) {
	conn, err := s.node.fleet.sockets.udp(s.port.address())
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // nothing was left to send
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	t := &transfer{conn: conn, server: netip.AddrPortFrom(server, tftpPort), size: -1, buf: buf}
	t.last = request(file)
	var done int64
	for {
		op, data, err := t.exchange(ctx)
		if err != nil {
			return done, err
		}
		if op == opData {
			done += int64(len(data))
			t.block++
		}
		ok, err := more(t, done)
		switch {
		case err != nil:
			return done, err
		case !ok:
			t.send(append(binary.BigEndian.AppendUint16([]byte{0, opError}, tftpOptError), "size only\x00"...))
			return t.size, nil
		}
		t.last = binary.BigEndian.AppendUint16([]byte{0, opAck}, uint16(t.block))
		if op == opData && len(data) < blockSize {
			t.send(t.last)
			return done, nil
		}
	}
}

// request is a read request for the file in octets, with the options.
func request(file string) []byte {
	b := []byte{0, opRRQ}
	for _, word := range []string{file, "octet", "tsize", "0", "blksize", strconv.Itoa(blockSize)} {
		b = append(append(b, word...), 0)
	}
	return b
}

func (t *transfer) send(b []byte) {
	_, _ = t.conn.WriteToUDPAddrPort(b, t.server) // what is lost is sent again
}

// exchange sends the last message until the next one in order arrives.
func (t *transfer) exchange(ctx context.Context) (op int, data []byte, err error) {
	for range tftpTries {
		t.send(t.last)
		if err := t.conn.SetReadDeadline(time.Now().Add(tftpWait)); err != nil {
			return 0, nil, err
		}
		op, data, err = t.receive(ctx)
		var timeout net.Error
		switch {
		case err == nil:
			return op, data, nil
		case ctx.Err() != nil:
			return 0, nil, ctx.Err()
		case !errors.As(err, &timeout) || !timeout.Timeout():
			return 0, nil, err
		}
	}
	return 0, nil, fmt.Errorf("block %d: %w", t.block+1, err)
}

// receive waits for the next message in order; others are passed over.
func (t *transfer) receive(ctx context.Context) (op int, data []byte, err error) {
	for ctx.Err() == nil {
		n, from, err := t.conn.ReadFromUDPAddrPort(t.buf)
		if err != nil {
			return 0, nil, err
		}
		b := t.buf[:n]
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if from.Addr() != t.server.Addr() || n < 4 {
			continue
		}
		switch op := int(binary.BigEndian.Uint16(b)); {
		case op == opError:
			text, _, _ := bytes.Cut(b[4:], []byte{0})
			return 0, nil, fmt.Errorf("%w %d: %.80q", errTFTP, binary.BigEndian.Uint16(b[2:]), text)
		case op == opOAck && t.block == 0 && t.server.Port() == tftpPort:
			t.server = from
			t.size = sizeOption(b[2:])
			return op, nil, nil
		case op == opData && binary.BigEndian.Uint16(b[2:]) == uint16(t.block+1) && from == t.server:
			return op, b[4:], nil
		}
	}
	return 0, nil, ctx.Err()
}

// sizeOption finds tsize among acknowledged options, -1 without it.
func sizeOption(b []byte) int64 {
	words := bytes.Split(b, []byte{0})
	for i := 0; i+1 < len(words); i += 2 {
		if bytes.EqualFold(words[i], []byte("tsize")) {
			if n, err := strconv.ParseInt(string(words[i+1]), 10, 64); err == nil && n >= 0 {
				return n
			}
		}
	}
	return -1
}
