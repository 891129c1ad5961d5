"""The front-end that User-Mode Linux lacks between its virtio driver and a vhost-user back-end.

QEMU answers the guest's driver for what only a front-end knows: the configuration space (MAC, MTU), the control queue, and
which of the back-end's features go with those. Linux's virtio_uml hands the back-end's bits to the driver as they are. So
this one stands on the control socket, adds the configuration space and takes out what needs a control queue. Rings,
buffers, kicks and calls are between the guest and the back-end alone.
"""
import os, select, socket, struct, threading

GET_FEATURES, SET_FEATURES, GET_PROTOCOL, SET_PROTOCOL, SET_BACKEND_FD, GET_CONFIG = 1, 2, 15, 16, 21, 24
REPLY, NEED_REPLY = 5, 8                    # flags; a reply's have the version in them
F_MTU, F_MAC, F_ANNOUNCE, F_MQ = 1 << 3, 1 << 5, 1 << 21, 1 << 22
# Without the back-end's channel virtio_uml asks for interrupt 0, which is taken.
P_BACKEND_REQ, P_CONFIG = 1 << 5, 1 << 9
CONFIG_LEN = 256


def receive(sock):
    """Request, flags, payload, descriptors; None at the end."""
    data, fds, _, _ = socket.recv_fds(sock, 12, 8)
    if not data:
        return None
    data += exactly(sock, 12 - len(data))
    request, flags, size = struct.unpack('<III', data)
    return request, flags, exactly(sock, size), fds


def exactly(sock, size):
    data = b''
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def send(sock, request, flags, payload, fds=()):
    socket.send_fds(sock, [struct.pack('<III', request, flags, len(payload)) + payload], fds)
    for fd in fds:
        os.close(fd)


def u64(payload):
    return struct.unpack('<Q', payload)[0]


class UmlFront(threading.Thread):
    """Serves one guest at 'path' until it leaves."""

    def __init__(self, path, back_path, mac, mtu):
        super().__init__(daemon=True)
        self.config = (bytes.fromhex(mac.replace(':', '')) + struct.pack('<HHH', 1, 1, mtu)).ljust(CONFIG_LEN, b'\0')
        self.back_path, self.offered, self.kept = back_path, 0, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.start()

    def run(self):
        guest, _ = self.listener.accept()
        back = socket.socket(socket.AF_UNIX)
        try:
            back.connect(self.back_path)
            while True:
                for sock in select.select([guest, back], [], [])[0]:
                    message = receive(sock)
                    if message is None:
                        return
                    self.from_back(guest, *message) if sock is back else self.from_guest(guest, back, *message)
        except (OSError, EOFError):
            pass                                        # one of them has ended
        finally:
            for sock in (self.listener, guest, back):
                sock.close()
            for fd in self.kept:
                os.close(fd)

    def from_back(self, guest, request, flags, payload, fds):
        if request == GET_FEATURES:
            self.offered = u64(payload)
            payload = struct.pack('<Q', self.offered & ~(F_ANNOUNCE | F_MQ) | F_MTU | F_MAC)
        elif request == GET_PROTOCOL:
            payload = struct.pack('<Q', u64(payload) | P_BACKEND_REQ | P_CONFIG)
        send(guest, request, flags, payload, fds)

    def from_guest(self, guest, back, request, flags, payload, fds):
        if request == GET_CONFIG:
            at, size, _ = struct.unpack('<III', payload[:12])
            send(guest, request, REPLY, payload[:12] + self.config[at:at + size])
            return
        if request == SET_BACKEND_FD:
            self.kept += fds                            # were it closed, the guest would see the channel end
            if flags & NEED_REPLY:
                send(guest, request, REPLY, struct.pack('<Q', 0))
            return
        if request == SET_FEATURES:
            payload = struct.pack('<Q', u64(payload) & self.offered)
        elif request == SET_PROTOCOL:
            payload = struct.pack('<Q', u64(payload) & ~(P_BACKEND_REQ | P_CONFIG))
        send(back, request, flags, payload, fds)
