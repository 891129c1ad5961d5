"""Data through a NAT, compared by SHA-256.

  verify.py serve ADDRESS
  verify.py check ADDRESS MEBIBYTES

check sends and receives a TCP stream in writes of all sizes, and datagrams of all lengths up to several
fragments; it prints one line of JSON: what was right, or what was not."""
import hashlib, json, random, socket, struct, sys, threading

PORT, PATIENCE_S = 7200, 20
DATAGRAMS, LOST_MOST = 300, 3


def receive(sock, length):
    """The SHA-256 of that many bytes, and how many came."""
    digest, left = hashlib.sha256(), length
    while left:
        data = sock.recv(min(left, 1 << 18))
        if not data:
            break
        digest.update(data)
        left -= len(data)
    return digest.hexdigest(), length - left


def send(sock, length, seed):
    """Random bytes, in writes from one byte to 256 KiB; returns their SHA-256."""
    rng, digest, left = random.Random(seed), hashlib.sha256(), length
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while left:
        data = rng.randbytes(min(left, rng.choice((1, 7, 100, 1000, 1447, 1448, 1449, 9000, 65483, 1 << 18))))
        sock.sendall(data)
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def serve_tcp(sock):
    with sock:
        sock.settimeout(PATIENCE_S)
        word = sock.recv(13, socket.MSG_WAITALL)
        if len(word) < 13:
            return
        way, length, seed = struct.unpack('!cQI', word)
        if way == b'u':
            sock.sendall(receive(sock, length)[0].encode())
        else:
            send(sock, length, seed)                    # whose sum the client makes from the seed
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)                                # until the other has it all


def serve_udp(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(hashlib.sha256(data).digest() + data, peer)


def serve(address):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.bind((address, PORT))
    threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
    listener = socket.create_server((address, PORT), family=family)
    while True:
        threading.Thread(target=serve_tcp, args=(listener.accept()[0],), daemon=True).start()


class Sum:
    """Stands in for a socket: what send() would send."""

    def setsockopt(self, *_):
        pass

    def sendall(self, _):
        pass


def tcp(address, way, length, seed):
    with socket.create_connection((address, PORT), PATIENCE_S) as sock:
        sock.sendall(struct.pack('!cQI', way, length, seed))
        if way == b'u':
            mine = send(sock, length, seed)
            sock.shutdown(socket.SHUT_WR)
            theirs = sock.recv(64, socket.MSG_WAITALL).decode()
            return mine == theirs, length
        got, came = receive(sock, length)
        return got == send(Sum(), length, seed), came


def datagrams(address):
    """How many came back whole, of how many; one that is lost is sent again, five times."""
    rng = random.Random(1)
    sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.5)
    sock.connect((address, PORT))
    right, lost = 0, 0
    for n in range(DATAGRAMS):
        if lost == LOST_MOST:
            break
        data = struct.pack('!I', n) + rng.randbytes(rng.choice((0, 1, 100, 1467, 1468, 1469, 4000, 9000)))
        for _ in range(5):
            sock.send(data)
            try:
                while (answer := sock.recv(65536))[32:36] != data[:4]:
                    pass
            except TimeoutError:
                continue
            right += answer == hashlib.sha256(data).digest() + data
            break
        else:
            lost += 1
    return right


def check(address, mebibytes):
    length, out = mebibytes << 20, {}
    for name, way in (('up', b'u'), ('down', b'd')):
        try:
            right, came = tcp(address, way, length, 7)
            out[name] = 'right' if right else f'WRONG after {came} bytes'
        except OSError as e:
            out[name] = f'failed: {e}'
    right = datagrams(address)
    out['datagrams'] = 'right' if right == DATAGRAMS else f'{right} of {DATAGRAMS} right'
    return out


if sys.argv[1] == 'serve':
    serve(sys.argv[2])
else:
    print(json.dumps(check(sys.argv[2], int(sys.argv[3]))))
