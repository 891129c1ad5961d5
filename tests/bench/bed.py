"""The test-bed: three network namespaces, the peers that can be put into it, and a meter for their CPU.

    guest                         host                        server
    iperf3, load  tap0 <bridge -- socket -- the NAT>  veth  iperf3 -s, load serve
    10.0.2.15                     10.99.0.2                   10.99.0.1
"""
import contextlib, ctypes, glob, json, os, resource, shlex, shutil, signal, subprocess, sys, tempfile, time

SERVER, HOST, GUEST, GATEWAY = '10.99.0.1', '10.99.0.2', '10.0.2.15', '10.0.2.2'
SERVER6, HOST6 = 'fd99::1', 'fd99::2'
LINK = '10.99.0.0/24'                     # between host and server
MAC = '52:54:00:12:34:56'
INSIDE = 'LWNAT_BENCH_DIR'          # set in the isolated half of the program: its scratch directory
PR_SET_PDEATHSIG = 1
NO_PID = 1 << 22                    # more than the kernel gives
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class BenchError(Exception):
    """Something that the user can do something about."""


# ---- isolation ---------------------------------------------------------------------------------

def isolate():
    """Returns in a process that has PID, mount and network namespaces of its own, and never in the first
    process: whatever way either of them ends, the kernel ends all that was started and takes down every
    namespace and interface."""
    if INSIDE in os.environ:
        return os.environ[INSIDE]
    unshare = ['unshare', '--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child']
    if os.geteuid() != 0:
        unshare[1:1] = ['--user', '--map-root-user']
    try:
        os.close(os.open('/dev/net/tun', os.O_RDWR))
    except OSError as e:
        raise BenchError(f'/dev/net/tun: {e.strerror}: the guest needs a TAP device; run this as root, '
                         'or let your user open /dev/net/tun')
    probe = subprocess.run(unshare + ['true'], capture_output=True, text=True)
    if probe.returncode:
        raise BenchError(f'cannot make namespaces ({probe.stderr.strip()}): run this as root, '
                         'or where users may make user namespaces')
    scratch = tempfile.mkdtemp(prefix='lwnat-bench.')
    os.chmod(scratch, 0o777)                            # passt, started by root, becomes nobody
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(unshare + [sys.executable] + sys.argv, env={**os.environ, INSIDE: scratch},
                             preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        sys.exit(child.wait())
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(scratch, ignore_errors=True)


# ---- namespaces and programs -------------------------------------------------------------------

class Namespace:
    """A network namespace, alive as long as the process that holds it."""

    def __init__(self, log):
        self.log = log
        self.holder = subprocess.Popen(['unshare', '--net', 'sh', '-c', 'echo; exec sleep infinity'],
                                       stdout=subprocess.PIPE)
        self.holder.stdout.readline()

    def _enter(self, command):
        if isinstance(command, str):
            command = shlex.split(command)
        return ['nsenter', f'--net=/proc/{self.holder.pid}/ns/net', '--'] + command

    def start(self, command, **kw):
        kw.setdefault('stdin', subprocess.DEVNULL)
        kw.setdefault('stdout', self.log)
        return subprocess.Popen(self._enter(command), stderr=self.log, **kw)

    def shell(self, script):
        p = subprocess.run(self._enter(['sh', '-ec', script]), capture_output=True, text=True)
        if p.returncode:
            raise BenchError(f'{script}: {p.stderr.strip()}')
        return p.stdout

    def json(self, command, timeout_s):
        """What a program says in JSON; {'error': text} when it fails."""
        p = self.start(command, stdout=subprocess.PIPE, text=True)
        try:
            return json.loads(p.communicate(timeout=timeout_s)[0])
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            return {'error': f'nothing after {timeout_s} s'}
        except ValueError:
            return {'error': f'exit status {p.returncode}, no JSON'}

    def counters(self):
        """TCP's counters of this namespace."""
        out = {}
        for name in ('snmp', 'netstat'):
            lines = self.shell(f'cat /proc/net/{name}').splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                out.update(zip(names.split()[1:], map(int, values.split()[1:])))
        return out


def end(process):
    if process and process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# ---- the meter ---------------------------------------------------------------------------------

def cpu_s(pid):
    """CPU seconds of a process, all its threads, the ended ones too, in nanosecond grain; 0 when it is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)        # clock_getcpuclockid(3)
    except OSError:
        return 0.0


def cpu_wait_s(pid):
    """Seconds in which threads of a process were ready to run and had no CPU."""
    total = 0
    for name in glob.glob(f'/proc/{pid}/task/*/schedstat'):
        with contextlib.suppress(OSError):
            total += int(open(name).read().split()[1])
    return total / 1e9


def status_kib(pid, field):
    with contextlib.suppress(OSError):
        for line in open(f'/proc/{pid}/status'):
            if line.startswith(field + ':'):
                return int(line.split()[1])
    return 0


def processes():
    return [int(p[6:]) for p in glob.glob('/proc/[0-9]*')]


class Meter:
    """CPU seconds of the NAT and of the bridge, when there is one, and CPUs that strangers used, from start to stop."""

    def __init__(self, nat, bridge=None):
        self.pids = {'nat_cpu_s': nat.pid, 'bridge_cpu_s': bridge.pid if bridge else NO_PID}
        self.before = self._read()

    def _read(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        tick = os.sysconf('SC_CLK_TCK')
        now = {k: cpu_s(pid) for k, pid in self.pids.items()}
        now['nat_wait_s'] = cpu_wait_s(self.pids['nat_cpu_s'])
        now['own'] = sum(map(cpu_s, processes())) + ended.ru_utime + ended.ru_stime
        with open('/proc/stat') as f:
            user, nice, system, _, _, irq, softirq = map(int, f.readline().split()[1:8])
        now['all'] = (user + nice + system + irq + softirq) / tick
        now['wall_s'] = time.monotonic()
        return now

    def stop(self):
        now = self._read()
        d = {k: now[k] - self.before[k] for k in now}
        used, own = d.pop('all') / d['wall_s'], d.pop('own') / d['wall_s']
        d['foreign_cpus'] = max(0, used - own)
        d['idle_cpus'] = max(0, os.cpu_count() - used)
        d['ends_cpus'] = max(0, own - (d['nat_cpu_s'] + d['bridge_cpu_s']) / d['wall_s'])   # the guest's and the server's programs
        return d


# ---- the bed -----------------------------------------------------------------------------------

class Bed:
    def __init__(self, scratch, with_iperf=True, cc='cubic'):
        self.scratch = scratch
        # Another lwnat of this user's may have the control socket of the default name.
        os.environ['XDG_RUNTIME_DIR'] = f'{scratch}/run'
        os.makedirs(f'{scratch}/run', 0o700)
        self.bin = os.environ.get('BENCH_BIN', f'{ROOT}/build/bench')
        self.log = open(f'{scratch}/log', 'ab', buffering=0)
        for program in ('bridge', 'front', 'load', 'flood', 'pump', 'mirror'):
            if not os.access(f'{self.bin}/{program}', os.X_OK):
                raise BenchError(f'{self.bin}/{program} is not built: run "make bench"')
        self.host, self.server = self.namespace(), self.namespace()
        self.host.shell(f'ip link add h0 type veth peer name s0 netns {self.server.holder.pid}; '
                        f'ip addr add {HOST}/24 dev h0; ip link set h0 mtu 65520 up; ip route add default via {SERVER}')
        self.server.shell(f'ip addr add {SERVER}/24 dev s0; ip link set s0 mtu 65520 up; '
                          f'ip route add default via {HOST}')
        self.use_from_birth(cc)
        self.host.shell(f'ip addr add {HOST6}/64 dev h0 nodad; ip -6 route add default via {SERVER6}')
        self.server.shell(f'ip addr add {SERVER6}/64 dev s0 nodad')
        self.iperf = self.start_iperf() if with_iperf else None
        self.echo = self.server.start(f'{self.bin}/load serve {SERVER}')
        self.flood = self.server.start(f'{self.bin}/flood serve {SERVER}')
        self.pump = None
        self.restart_pump()
        for _ in range(50):                             # until both listen
            if self.server.shell('ss -Hltn').count(SERVER) > with_iperf and 'error' not in self.load(self.host, 'rr 50', 5):
                return
            time.sleep(0.1)
        raise BenchError(f'iperf3 or {self.bin}/load does not serve: {self.log_tail(0)}')

    def use_from_birth(self, cc):
        """The congestion control of connections between host and server. They would begin with the machine's own, and
        one that begins with BBR keeps BBR's pacing timer when iperf3 sets another: the timers of eight servers then
        expire in whatever runs, and are counted as the NAT's time."""
        for ns, dev, src in (self.host, 'h0', HOST), (self.server, 's0', SERVER):
            ns.shell(f'ip route change {LINK} dev {dev} src {src} congctl {cc}')

    def log_tail(self, begin):
        """The last that the programs wrote after this offset."""
        with open(f'{self.scratch}/log', errors='replace') as f:
            f.seek(begin)
            return '; '.join(f.read().strip().splitlines()[-2:]) or 'no word from it'

    def namespace(self):
        ns = Namespace(self.log)
        ns.shell('ip link set lo up; sysctl -qw net.ipv4.ip_local_port_range="1024 65535"')
        return ns

    def start_iperf(self):
        return self.server.start(f'iperf3 -s -B {SERVER}')

    def restart_pump(self):
        end(self.pump)
        self.pump = self.server.start(f'{self.bin}/pump serve {SERVER}')

    def load(self, ns, command, timeout_s=30):
        name, *args = command.split()
        return ns.json([f'{self.bin}/load', name, SERVER] + args, timeout_s)

    def datagrams(self, ns, down, rate, ms):
        return ns.json(f'{self.bin}/flood {"down" if down else "up"} {SERVER} {rate} {ms}', ms / 1000 + 15)

    def bulk(self, ns, seconds, streams, down, cc):
        """iperf3's summary, or {'error': ...}."""
        out = ns.json(f'iperf3 -c {SERVER} -J -t {seconds} -P {streams} -C {cc}' + (' -R' if down else ''), seconds + 8)
        if 'error' in out:                              # a run cut short may leave the server busy
            end(self.iperf)
            self.iperf = self.start_iperf()
            return out
        return {'bytes': out['end']['sum_received']['bytes'],
                'gbit_s': out['end']['sum_received']['bits_per_second'] / 1e9,
                'iperf_retransmits': out['end']['sum_sent'].get('retransmits')}


class Cell:
    """One NAT with its guest, running; a context. The guest's namespace is new each time: nothing that an
    earlier guest left open sends into this one."""

    def __init__(self, bed, peer, mtu):
        self.bed, self.peer, self.mtu = bed, peer, mtu
        self.sock = f'{bed.scratch}/{peer.name}.sock'
        self.nat = self.bridge = None
        self.front = None                               # what the vhost-user front-end saw, after the end
        self.guest = bed.namespace()
        self.log_at = os.path.getsize(f'{bed.scratch}/log')

    def said(self):
        return self.bed.log_tail(self.log_at)

    def __enter__(self):
        bed = self.bed
        for old in glob.glob(self.sock + '*'):
            os.unlink(old)
        try:
            self.nat = bed.host.start(self.peer.command(self.sock, self.mtu, self.guest.holder.pid))
            bridge = self.peer.bridge(bed.bin, self.sock, self.mtu)
            self.bridge = bridge and self.guest.start(bridge, stdout=subprocess.PIPE)
            self.wait_for_tap(self.guest, 'tap0')
            self.before_guest()
            # A short queue would lose the guest's frames before they reach the NAT.
            self.guest.shell(f'ip addr add {GUEST}/24 dev tap0; ip link set tap0 mtu {self.mtu} txqueuelen 10000 up; '
                            f'ip route add default via {GATEWAY}')
            self.settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def before_guest(self):
        """For those who have something to set up once the NAT runs."""

    def wait_for_tap(self, ns, name):
        for _ in range(300):
            if name in ns.shell('ip -o link'):
                return
            if self.nat.poll() is not None or self.bridge and self.bridge.poll() is not None:
                break
            time.sleep(0.02)
        raise BenchError(f'{self.peer.name} or the bridge did not start: {self.said()}')

    def settle(self):
        """Some work before the measurement: neighbours known, pages touched."""
        for _ in range(10):
            r = self.bed.load(self.guest, 'rr 50', 3)
            if 'error' not in r:
                return
            if self.nat.poll() is not None:
                break
            time.sleep(0.1)
        raise BenchError(f'no TCP through {self.peer.name}, exit status {self.nat.poll()}: {r["error"]}; {self.said()}')

    def has_v6(self):
        """Waits until the guest has an IPv6 address of the NAT's."""
        for _ in range(50):
            if 'inet6' in self.guest.shell('ip -o -6 addr show dev tap0 dynamic -tentative'):
                return True
            time.sleep(0.1)
        return False

    def __exit__(self, *_):
        end(self.bridge)
        end(self.nat)
        if self.bridge:
            text = self.bridge.stdout.read()
            self.bridge.stdout.close()
            self.front = json.loads(text) if text else None
        end(self.guest.holder)

    def meter(self):
        return Meter(self.nat, self.bridge)
