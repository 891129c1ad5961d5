"""The peers: what is measured side by side, how each is started, and how a guest is plugged into it."""
import os, shutil, subprocess

from bed import GATEWAY, GUEST, MAC, ROOT

BOTH = (1500, 65520)
STREAM, VHOST, TAP = 'stream', 'vhost', 'tap'   # QEMU's framing; a ring in shared memory; the NAT makes the guest's TAP itself


class Peer:
    """A NAT to be measured. In its command, {sock}, {mtu} and {pid}, a process of the guest's namespace, are filled in."""

    def __init__(self, name, variable, default, arguments, mtus, **more):
        self.name, self.mtus, self.arguments = name, mtus, arguments
        self.kind = more.get('kind', STREAM)
        self.ring, self.plain = more.get('ring', 0), more.get('plain', False)   # of the vhost-user front-end
        self.rows = more.get('rows')                    # it takes part in; None: all that have no list of their own
        self.without = more.get('without', ())          # rows that it is spared
        self.variable = variable
        self.is_optional = not default or self.kind == VHOST
        self.program = shutil.which(variable and os.environ.get(variable) or default)
        if self.program and '--vhost-user' in arguments and not self.has_option('--vhost-user'):
            self.program = None

    def has_option(self, option):
        p = subprocess.run([self.program, '--help'], capture_output=True, text=True, timeout=10)
        return option in p.stdout + p.stderr

    def takes_part(self, row, mtu):
        """Rows with a list of their peers decide; the others leave it to the peer."""
        if mtu not in self.mtus:
            return False
        if row.peers is not None:
            return self.name in row.peers
        return row.name not in self.without if self.rows is None else row.name in self.rows

    def bridge(self, binaries, sock, mtu):
        """The command of its guest's network card; None when the NAT owns the TAP."""
        if self.kind == TAP:
            return None
        if self.kind == STREAM:
            return f'{binaries}/bridge tap0 {mtu} {MAC} {sock}'
        return f'{binaries}/front tap0 {mtu} {MAC} {sock} {self.ring}' + (' plain' if self.plain else '')

    def command(self, sock, mtu, pid):
        return [self.program] + self.arguments.format(sock=sock, mtu=mtu, pid=pid).split()

    def version(self):
        """What it says of itself, and its package: Debian's passt only knows that it is passt."""
        def first(command):
            p = subprocess.run(command, capture_output=True, text=True, timeout=10)
            return p.stdout.strip().split('\n')[0] if not p.returncode else ''
        text = first([self.program, '--version']) or f'{os.path.basename(self.program)}, which does not say its version'
        package = first(['dpkg', '-S', self.program]).split(':')[0] if shutil.which('dpkg') else ''
        return f'{text} [{package} {first(["dpkg-query", "-Wf", "${Version}", package])}]' if package else text


VHOST_ROWS = ('up1', 'up1bbr', 'down1', 'up8', 'down8', 'rr', 'rrfree', 'crr1', 'crr64', 'udpup', 'udpdown', 'stall', 'stopped')
RING_ROWS = ('up1', 'down1', 'down8', 'udpdown')
PASST_ARGS = f'-f -q -4 -a {GUEST} -n 24 -g {GATEWAY} -m {{mtu}} -s {{sock}}'
LWNAT_STREAM, LWNAT_VHOST = '--mtu {mtu} --socket {sock}', '--mtu {mtu} --vhost-user {sock}'
PEERS = [
    Peer('lwnat', 'LWNAT', f'{ROOT}/lwnat', LWNAT_STREAM, BOTH),
    Peer('lwnat-b', 'LWNAT_B', '', LWNAT_STREAM, BOTH),      # another build, to compare with
    Peer('passt', '', 'passt', PASST_ARGS, BOTH),
    Peer('passt-new', 'PASST', '', PASST_ARGS, BOTH),
    # A QEMU without a guest: a hub joins libslirp and a stream socket that listens.
    Peer('libslirp', 'QEMU', 'qemu-system-x86_64', '-M none -nodefaults -display none -netdev user,id=u,ipv6=off '
         '-netdev stream,id=s,server=on,addr.type=unix,addr.path={sock} '
         '-netdev hubport,hubid=0,id=h0,netdev=u -netdev hubport,hubid=0,id=h1,netdev=s', (1500,), without=('busy10000',)),
    # libslirp too, for a network namespace: what a container has. To open 10,000 flows takes it most of a minute.
    Peer('slirp4netns', 'SLIRP4NETNS', 'slirp4netns', '--mtu={mtu} --netns-type=path /proc/{pid}/ns/net tap0', BOTH,
         kind=TAP, without=('stall', 'idle10000', 'busy10000')),
    Peer('lwnat-vu', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, BOTH, kind=VHOST, ring=256, rows=VHOST_ROWS),
    Peer('lwnat-vu1024', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, (1500,), kind=VHOST, ring=1024, rows=RING_ROWS),
    Peer('lwnat-vu-plain', 'LWNAT', f'{ROOT}/lwnat', LWNAT_VHOST, BOTH, kind=VHOST, ring=256, plain=True, rows=()),
    Peer('lwnat-b-vu', 'LWNAT_B', '', LWNAT_VHOST, BOTH, kind=VHOST, ring=256, rows=VHOST_ROWS),
    Peer('passt-vu', 'PASST', 'passt', f'{PASST_ARGS} --vhost-user', BOTH, kind=VHOST, ring=256, rows=VHOST_ROWS),
]
