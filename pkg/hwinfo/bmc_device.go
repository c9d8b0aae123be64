package hwinfo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Structures of linux/ipmi.h, as the kernel lays them out on 64-bit machines.
type (
	ipmiMessage struct {
		netFn, cmd byte
		length     uint16
		data       *byte
	}
	ipmiRequest struct {
		addr    *ipmiSystemAddress
		addrLen uint32
		id      int
		msg     ipmiMessage
	}
	ipmiReceive struct {
		kind    int32
		addr    *ipmiSystemAddress
		addrLen uint32
		id      int
		msg     ipmiMessage
	}
	ipmiSystemAddress struct {
		kind    int32
		channel int16
		_       [33]byte // LUN 0, and room for any other kind of address
	}
)

const (
	ipmiSystemInterface = 0x0c // IPMI_SYSTEM_INTERFACE_ADDR_TYPE
	ipmiBMCChannel      = 0x0f // IPMI_BMC_CHANNEL
	ipmiAddressLen      = 8    // sizeof(struct ipmi_system_interface_addr)
	ipmiResponse        = 1    // IPMI_RESPONSE_RECV_TYPE
	ipmiMaxMessage      = 272  // IPMI_MAX_MSG_LENGTH

	ipmiPoll = 100 * time.Millisecond // between looks at the context
)

// Numbers of the requests; _IOWR('i', 11, struct ipmi_recv) and _IOR('i', 13, struct ipmi_req).
const (
	ioctlReceiveTrunc = 3<<30 | unsafe.Sizeof(ipmiReceive{})<<16 | 'i'<<8 | 11
	ioctlSend         = 2<<30 | unsafe.Sizeof(ipmiRequest{})<<16 | 'i'<<8 | 13
)

// ipmiDevice is an open /dev/ipmi0. It is for one goroutine.
type ipmiDevice struct {
	f  *os.File
	id int // of the last request
}

func openIPMI(path string) (*ipmiDevice, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &ipmiDevice{f: os.NewFile(uintptr(fd), path)}, nil
}

func (d *ipmiDevice) close() error { return d.f.Close() }

// exchange implements exchanger. Answers to older requests, which came too late, are dropped.
func (d *ipmiDevice) exchange(ctx context.Context, netFn, cmd byte, data []byte) ([]byte, error) {
	d.id++
	if err := d.send(netFn, cmd, data); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	for {
		if err := d.wait(ctx); err != nil {
			return nil, err
		}
		kind, id, answer, err := d.receive()
		switch {
		case errors.Is(err, unix.EAGAIN):
		case err != nil:
			return nil, fmt.Errorf("receive: %w", err)
		case kind == ipmiResponse && id == d.id:
			return answer, nil
		}
	}
}

func (d *ipmiDevice) send(netFn, cmd byte, data []byte) error {
	addr := ipmiSystemAddress{kind: ipmiSystemInterface, channel: ipmiBMCChannel}
	req := ipmiRequest{addr: &addr, addrLen: ipmiAddressLen, id: d.id,
		msg: ipmiMessage{netFn: netFn, cmd: cmd, length: uint16(len(data))}}
	if len(data) > 0 {
		req.msg.data = &data[0]
	}
	return d.ioctl(ioctlSend, unsafe.Pointer(&req))
}

func (d *ipmiDevice) receive() (kind int32, id int, answer []byte, err error) {
	var addr ipmiSystemAddress
	buf := make([]byte, ipmiMaxMessage)
	recv := ipmiReceive{addr: &addr, addrLen: uint32(unsafe.Sizeof(addr)),
		msg: ipmiMessage{data: &buf[0], length: uint16(len(buf))}}
	if err := d.ioctl(ioctlReceiveTrunc, unsafe.Pointer(&recv)); err != nil {
		return 0, 0, nil, err
	}
	return recv.kind, recv.id, buf[:min(int(recv.msg.length), len(buf))], nil
}

// wait returns when the device has an answer. It polls in short turns, since poll(2) knows no context.
func (d *ipmiDevice) wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		fds := []unix.PollFd{{Fd: int32(d.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(ipmiPoll.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

func (d *ipmiDevice) ioctl(request uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, d.f.Fd(), request, uintptr(arg))
	runtime.KeepAlive(d)
	if errno != 0 {
		return errno
	}
	return nil
}
