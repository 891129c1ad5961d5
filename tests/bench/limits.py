"""The machine's own limit: the rows' tools with no NAT between them.

  loopback   within the server's namespace
  veth       from the NAT's namespace to the server, no guest
  wire       the guest, its bridge and the socket; at the far end a second bridge and TAP, and the kernel routes
  mirror     the same guest and bridge; at the far end a reflector, which sends every datagram back at once
"""
import bed as testbed
import rows
from bed import BenchError, Cell, GATEWAY, HOST, MAC
from peers import Peer

FAR_MAC = '52:54:00:12:34:02'
NAMES = ('loopback', 'veth', 'wire', 'mirror')
WIRE_ROWS = ('up1', 'down1', 'up8', 'down8', 'rr', 'crr1', 'crr64', 'udpup')


class WireCell(Cell):
    def __enter__(self):
        self.bed.host.shell('sysctl -qw net.ipv4.ip_forward=1')
        return super().__enter__()

    def before_guest(self):
        self.wait_for_tap(self.bed.host, 'tap1')
        self.bed.host.shell(f'ip addr add {GATEWAY}/24 dev tap1; ip link set tap1 txqueuelen 10000 up')

    def __exit__(self, *_):
        super().__exit__()
        self.bed.host.shell('sysctl -qw net.ipv4.ip_forward=0')


class MirrorCell(Cell):
    def settle(self):
        for _ in range(10):
            r = self.guest.json(f'{self.bed.bin}/flood trips {GATEWAY} 50', 5)
            if 'error' not in r:
                return
        raise BenchError(f'nothing comes back from the mirror: {r["error"]}; {self.said()}')


def no_nat(bed, name, arguments):
    return Peer(name, '', f'{bed.bin}/{arguments.split()[0]}', arguments.split(' ', 1)[1], (1500,))


def tcp(ns, bed, opt):
    """Row and figures of TCP straight to the server."""
    for row, streams, down in (('up1', 1, False), ('down1', 1, True), ('up8', 8, False), ('down8', 8, True)):
        if row in opt.rows:
            yield row, bed.bulk(ns, opt.seconds, streams, down, opt.cc)
    if 'rr' in opt.rows:
        with rows.one_cpu():
            r = bed.load(ns, f'rr {rows.RR_COUNT}')
        yield 'rr', r
    for n in (1, 64):
        if f'crr{n}' in opt.rows:
            r = bed.load(ns, f'crr {n} {int(opt.seconds * 1000)}')
            yield f'crr{n}', {'conn_s': r['per_s'], **r} if 'per_s' in r else r


def wire(bed, opt):
    with WireCell(bed, no_nat(bed, 'wire', f'bridge -l tap1 {{mtu}} {FAR_MAC} {{sock}}'), 1500) as cell:
        for name in (r for r in WIRE_ROWS if r in opt.rows):
            try:
                yield name, rows.ROWS[name].measure(cell, opt)
            except (BenchError, ValueError, KeyError, OSError) as e:
                yield name, {'error': str(e)}


def mirror(bed, opt):
    with MirrorCell(bed, no_nat(bed, 'mirror', 'mirror {sock}'), 1500) as cell:
        def flood(rate, ms):
            return cell.guest.json(f'{bed.bin}/flood mirror {GATEWAY} {rate} {ms}', ms / 1000 + 15)

        def trips(count):
            return cell.guest.json(f'{bed.bin}/flood trips {GATEWAY} {count}', 30)
        if 'udpup' in opt.rows:
            yield 'udpup', rows.search(cell, flood)
        if 'rr' in opt.rows:
            yield 'rr', rows.trips(cell, trips, rows.RR_COUNT, True)


def datagrams(bed, opt):
    if 'udpup' in opt.rows:
        r = bed.datagrams(bed.host, False, rows.UDP_MOST, rows.UDP_MS)
        yield 'udpup', {'packets_s': r['sent'] / r['ms'] * 1000} if 'sent' in r else r


def copies(bed, opt):
    yield 'memcpy', bed.host.json(f'{bed.bin}/load copy', 30)


def measure(bed, opt):
    """Yields place, row and figures of those rows that were asked for."""
    for name, found in (('loopback', tcp(bed.server, bed, opt)), ('veth', tcp(bed.host, bed, opt)), ('veth', datagrams(bed, opt)),
                        ('wire', wire(bed, opt)), ('mirror', mirror(bed, opt)), ('loopback', copies(bed, opt))):
        try:
            for row, figures in found:
                yield name, row, figures
        except BenchError as e:
            yield name, 'up1', {'error': str(e)}
