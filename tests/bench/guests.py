"""Real Linux guests: their own kernel and its virtio-net driver, in User-Mode Linux (vhost-user) and in QEMU under TCG.

Each has a console that takes commands (guest-init), so that a guest is used like the namespace of the other cells. One boot
serves all figures of a row.
"""
import contextlib, json, os, select, shlex, subprocess, time

import bed as testbed
from bed import GATEWAY, GUEST, MAC, ROOT, BenchError, Cell, Meter, Namespace, end
from peers import BOTH, LWNAT_STREAM, LWNAT_VHOST, PASST_ARGS, PEERS, Peer
from rows import GIB, PLAIN, STALL_S, Row, add, both_ways, counted, two_ways
from umlfront import UmlFront

IMAGE = f'{ROOT}/build/bench/guest'
UML, TCG = 'uml', 'tcg'                 # kinds of peer, beside those of peers.py; and rows
TITLES = {UML: 'A real guest over vhost-user: User-Mode Linux', 'umlstall': 'The same: pauses',
          TCG: 'A real guest: QEMU under TCG, which limits the rates'}
MEMORY = '512M'
BOOT_S = 90
OURS = ('lwnat-uml', 'lwnat-tcg', 'lwnat-tcg-vu')    # whose ratios are shown
TRIPS = 2000
NOISE = 'quiet panic=-1 mitigations=off random.trust_cpu=on no_timer_check'


class Guest(Namespace):
    """A machine whose console runs commands: what a namespace is to the other cells."""

    def __init__(self, command, host):
        self.said = b''
        self.holder = host.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.kernel = self.until(b'# ready ', BOOT_S).split()[-1]

    def until(self, word, timeout_s):
        """What it says up to the end of a line that begins with 'word'."""
        deadline = time.monotonic() + timeout_s
        while True:
            at = self.said.find(word) if self.said.startswith(word) else self.said.find(b'\n' + word)
            line_end = self.said.find(b'\n', at + 1) if at >= 0 else -1
            if line_end >= 0:
                text, self.said = self.said[:line_end], self.said[line_end + 1:]
                return text.decode(errors='replace')
            ready, _, _ = select.select([self.holder.stdout], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.holder.stdout.fileno(), 65536) if ready else b''
            if not more:
                tail = self.said.decode(errors='replace').strip().splitlines()[-2:]
                raise BenchError(f'the guest {"ended" if ready else f"said nothing for {timeout_s} s"}: {"; ".join(tail)}')
            self.said += more

    def run(self, command, timeout_s=30):
        """Status and output."""
        self.holder.stdin.write(command.encode() + b'\n')
        self.holder.stdin.flush()
        text, _, status = self.until(b'# status ', timeout_s).rpartition('# status ')
        return int(status), text

    def shell(self, script):
        status, text = self.run(script.replace('\n', ';'))
        if status:
            raise BenchError(f'in the guest: {script}: {text.strip()}')
        return text

    def json(self, command, timeout_s):
        words = shlex.split(command) if isinstance(command, str) else command
        status, text = self.run(shlex.join([os.path.basename(words[0])] + words[1:]), timeout_s)
        try:
            return json.loads(text)
        except ValueError:
            return {'error': f'exit status {status} in the guest, no JSON'}

    def card(self, name):
        return int(self.shell(f'cat /sys/class/net/eth0/statistics/{name}'))


def tree(pid):
    """A process and its descendants."""
    found = [pid]
    for p in found:
        with contextlib.suppress(OSError), open(f'/proc/{p}/task/{p}/children') as f:
            found += map(int, f.read().split())
    return found


class GuestMeter(Meter):
    """With the CPU of QEMU's main thread, which is the guest's network card; libslirp runs in it, too."""

    def __init__(self, nat, guest, kind):
        self.guest, self.kind, self.is_inside = guest, kind, nat is guest
        super().__init__(nat, guest)

    def _read(self):
        now = super()._read()
        now['bridge_cpu_s'] = sum(map(testbed.cpu_s, tree(self.guest.pid)))
        now['card_cpu_s'] = 0.0
        if self.kind == TCG:
            with open(f'/proc/{self.guest.pid}/task/{self.guest.pid}/schedstat') as f:
                now['card_cpu_s'] = int(f.read().split()[0]) / 1e9
        if self.is_inside:
            now['nat_cpu_s'], now['card_cpu_s'] = now['card_cpu_s'], 0.0
        return now


class GuestCell(Cell):
    """One NAT with a booted guest; a context."""

    def __init__(self, bed, peer, mtu):
        self.bed, self.peer, self.mtu = bed, peer, mtu
        self.sock = f'{bed.scratch}/{peer.name}.sock'
        self.nat = self.guest = self.front = None
        self.log_at = os.path.getsize(f'{bed.scratch}/log')

    def __enter__(self):
        if not os.access(f'{IMAGE}/initramfs', os.R_OK) or not os.access(self.kernel(), os.R_OK):
            raise BenchError(f'there is no {self.kernel()}: {ROOT}/tests/bench/mkguest.sh says why')
        for path in (self.sock, f'{self.sock}.uml'):
            if os.path.exists(path):
                os.unlink(path)
        try:
            if self.peer.variable != 'QEMU':
                self.nat = self.bed.host.start(self.peer.command(self.sock, self.mtu, 0))
                self.wait_for_socket()
            self.guest = Guest(self.uml() if self.peer.kind == UML else self.tcg(), self.bed.host)
            self.nat = self.nat or self.guest.holder
            self.guest.shell(f'ip link set eth0 mtu {self.mtu} && ip addr add {GUEST}/24 dev eth0 && ip link set eth0 up && '
                             f'ip route add default via {GATEWAY}')
            self.settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def kernel(self):
        return f'{IMAGE}/' + ('linux.uml' if self.peer.kind == UML else 'vmlinuz')

    def wait_for_socket(self):
        for _ in range(200):
            if os.path.exists(self.sock):
                return
            if self.nat.poll() is not None:
                break
            time.sleep(0.02)
        raise BenchError(f'{self.peer.name} did not start: {self.said()}')

    def uml(self):
        UmlFront(f'{self.sock}.uml', self.sock, MAC, self.mtu)
        return [f'{IMAGE}/linux.uml', f'mem={MEMORY}', f'initrd={IMAGE}/initramfs', f'virtio_uml.device={self.sock}.uml:1',
                'con0=fd:0,fd:1', 'con=null', 'ssl=null', 'quiet', f'uml_dir={self.bed.scratch}/']

    def tcg(self):
        program = os.environ.get('QEMU', 'qemu-system-x86_64')
        card = f'virtio-net-pci,netdev=n,mac={MAC},romfile=,rx_queue_size={self.peer.ring or 256}'
        if self.peer.variable == 'QEMU':
            net = [program, '-netdev', 'user,id=n,ipv6=off']
        elif self.peer.ring:
            # Without vectors=0 QEMU 7.2 to 9.0 crash here: vhost, MSI-X and no KVM (their issues 2321, 2334).
            card += ',vectors=0'
            net = [program, '-object', f'memory-backend-memfd,id=ram,size={MEMORY},share=on', '-machine', 'memory-backend=ram',
                   '-chardev', f'socket,id=c,path={self.sock}', '-netdev', 'vhost-user,id=n,chardev=c']
        else:
            net = [program, '-netdev', f'stream,id=n,server=off,addr.type=unix,addr.path={self.sock}']
        return net + ['-M', 'pc', '-accel', 'tcg', '-cpu', 'max', '-m', MEMORY, '-display', 'none', '-monitor', 'none',
                      '-nodefaults', '-no-reboot', '-chardev', 'stdio,id=s,signal=off', '-serial', 'chardev:s', '-device', card,
                      '-kernel', f'{IMAGE}/vmlinuz', '-initrd', f'{IMAGE}/initramfs', '-append', f'console=ttyS0 {NOISE}']

    def __exit__(self, *_):
        if self.guest:
            end(self.guest.holder)
        if self.nat:
            end(self.nat)

    def meter(self):
        return GuestMeter(self.nat, self.guest.holder, self.peer.kind)


# ---- rows ----------------------------------------------------------------------------------------

def bulk(cell, opt, streams, down):
    """As rows.bulk(); and the mean size of a frame at the guest's card: beyond the MTU, the offloads work."""
    guest = cell.guest
    names = [f'{way}_{what}' for way in ('tx', 'rx') for what in ('bytes', 'packets')]
    before, card, meter = guest.counters(), {n: guest.card(n) for n in names}, cell.meter()
    r = cell.bed.bulk(guest, opt.seconds, streams, down, opt.cc)
    m = meter.stop()
    if 'error' in r or not r['bytes']:
        return {'error': r.get('error', 'not a byte came'), **m}
    card = {n: guest.card(n) - card[n] for n in names}
    after = guest.counters()
    way = 'rx' if down else 'tx'
    return {'gbit_s': r['gbit_s'], 's_per_gib': m['nat_cpu_s'] * GIB / r['bytes'], **counted(cell, before),
            'card_s_per_gib': (m['nat_cpu_s'] + m['card_cpu_s']) * GIB / r['bytes'],
            'iperf_retransmits': r['iperf_retransmits'],
            'frame_bytes': card[f'{way}_bytes'] / max(1, card[f'{way}_packets']),
            'bytes_per_ack': r['bytes'] / max(1, card['tx_packets' if down else 'rx_packets']),
            'bad_checksums': after['InCsumErrors'] - before['InCsumErrors'], **m}


def round_trips(cell, count=TRIPS):
    meter = cell.meter()
    r = cell.bed.load(cell.guest, f'rr {count}')
    m = meter.stop()
    return {**r, **m} if 'error' in r else {'p50_us': r['p50_us'], 'p99_us': r['p99_us'],
                                             'us_per_trip': m['nat_cpu_s'] * 1e6 / count, **m}


def boot(cell, opt, parts):
    """All of these parts in one boot; each figure's name begins with its part."""
    out = {'foreign_cpus': 0}
    for name in parts:
        r = round_trips(cell) if name == 'rr' else bulk(cell, opt, int(name[-1]), name.startswith('down'))
        out['foreign_cpus'] = max(out['foreign_cpus'], r['foreign_cpus'])
        out.update({f'{name}_{k}': v for k, v in r.items()})
    return out


def figures(parts, with_card):
    for part in parts:
        if part == 'rr':
            yield from (('rr_p50_us', 'round trip, p50 us', 0), ('rr_us_per_trip', 'round trip, CPU us', 1))
            continue
        what = part[:-1] + (f', {part[-1]} streams' if part[-1] != '1' else '')
        yield f'{part}_gbit_s', f'{what}, Gbit/s', 2
        yield f'{part}_s_per_gib', f'{what}, CPU s/GiB', 3
        if with_card:
            yield f'{part}_card_s_per_gib', f"{what}, CPU s/GiB with QEMU's main thread", 3
        yield f'{part}_frame_bytes', f'{what}, bytes per frame', 0
        yield f'{part}_bad_checksums', f'{what}, bad checksums', 0
        if part.startswith('up'):
            yield f'{part}_guest_retransmits', f'{what}, retransmissions', 0


def guest_row(name, parts, **more):
    peers = [p.name for p in REAL if p.kind == name]
    return Row(name, lambda c, o: boot(c, o, parts), figures(parts, name == TCG), mtus=BOTH, is_quick=False, cell=GuestCell,
               peers=peers, **more)


REAL = [
    Peer('lwnat-uml', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, BOTH, kind=UML, ring=256, rows=()),
    Peer('lwnat-b-uml', 'LWNAT_B', '', LWNAT_VHOST, BOTH, kind=UML, ring=256, rows=()),
    Peer('passt-uml', 'PASST', '', f'{PASST_ARGS} --vhost-user', BOTH, kind=UML, ring=256, rows=()),
    Peer('lwnat-tcg', 'LWNAT', f'{ROOT}/lwnat', LWNAT_STREAM, BOTH, kind=TCG, rows=()),
    Peer('passt-tcg', '', 'passt', PASST_ARGS, BOTH, kind=TCG, rows=()),
    Peer('passt-new-tcg', 'PASST', '', PASST_ARGS, BOTH, kind=TCG, rows=()),
    Peer('libslirp-tcg', 'QEMU', 'qemu-system-x86_64', '', PLAIN, kind=TCG, rows=()),
    Peer('lwnat-tcg-vu', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, BOTH, kind=TCG, ring=256, rows=()),
    Peer('lwnat-tcg-vu1024', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, PLAIN, kind=TCG, ring=1024, rows=()),
    Peer('passt-new-tcg-vu', 'PASST', '', f'{PASST_ARGS} --vhost-user', BOTH, kind=TCG, ring=256, rows=()),
]
PEERS += REAL
add(guest_row(UML, ('up1', 'down1', 'up8', 'down8', 'rr'), rounds=2),
    Row('umlstall', lambda c, o: both_ways(c, f'{{way}} {{server}} {STALL_S * 1000}', STALL_S + 20),
        two_ways([('gap_ms', '10 s {}: longest pause, ms', 1), ('wrong', '10 s {}: bytes wrong', 0)]),
        is_quick=False, rounds=1, cell=GuestCell, peers=[p.name for p in REAL if p.kind == UML]),
    guest_row(TCG, ('up1', 'down1', 'rr'), rounds=1))


def prepare(rows):
    """Makes the guests that these rows need, where there is a network still."""
    if testbed.INSIDE not in os.environ and any(issubclass(r.cell, GuestCell) for r in rows):
        subprocess.run([f'{ROOT}/tests/bench/mkguest.sh', IMAGE, os.environ.get('BENCH_BIN', f'{ROOT}/build/bench')], check=False)
