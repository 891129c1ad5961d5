"""The rows: each measures one thing with one NAT and returns its figures. A row more is a Row given to add()."""
import collections, contextlib, json, os, select, subprocess, time

import bed as testbed
from bed import BenchError, Cell
from peers import BOTH

GIB = 1 << 30
PLAIN = (1500,)
RR_COUNT = 4000
UDP_MS = 400                            # a trial
UDP_FIRST, UDP_MOST, UDP_HALVINGS = 20000, 1280000, 4   # datagrams a second
UDP_LOSS, UDP_LATE = 0.001, 1.2         # a trial fails beyond; the second: it took the sender this much longer
STALL_S = 10                            # of a transfer whose longest pause is looked for
STOPPED_MIB, STOPPED_MS = 64, 2000      # a reader that stops
BUSY_MS = 5000
GUEST_COUNTERS = {'guest_retransmits': 'RetransSegs', 'guest_loss_probes': 'TCPLossProbes', 'guest_timeouts': 'TCPTimeouts',
                  'guest_fast_retransmits': 'TCPFastRetrans', 'guest_out_of_order': 'TCPOFOQueue',
                  'guest_old_segments': 'DelayedACKLost'}

# A figure of a row: its name, its title in the table, decimals.
Figure = collections.namedtuple('Figure', 'key title digits')


class Row:
    def __init__(self, name, measure, figures, **more):
        self.name, self.measure = name, measure         # measure(cell, options) returns {key: number}; 'error': why not
        self.figures = [Figure(*f) for f in figures]
        self.mtus = more.get('mtus', PLAIN)
        self.is_quick = more.get('is_quick', True)      # part of --quick
        self.rounds = more.get('rounds')                # at most so many; None: all
        self.peers = more.get('peers')                  # names; None: see Peer.rows
        self.cell = more.get('cell', Cell)              # the context that holds the NAT and its guest


ROWS = {}


def add(*rows):
    ROWS.update({r.name: r for r in rows})


# ---- bulk ----------------------------------------------------------------------------------------

def bulk(cell, opt, streams, down, cc=None):
    bed, before, meter = cell.bed, cell.guest.counters(), cell.meter()
    r = bed.bulk(cell.guest, opt.seconds, streams, down, cc or opt.cc)
    m = meter.stop()
    if 'error' in r or not r['bytes']:
        return {'error': r.get('error', 'not a byte came'), **m}
    tap = json.loads(cell.guest.shell('ip -s -j link show tap0'))[0]['stats64']
    return {'gbit_s': r['gbit_s'], 's_per_gib': m['nat_cpu_s'] * GIB / r['bytes'], **counted(cell, before),
            'bridge_s_per_gib': m['bridge_cpu_s'] * GIB / r['bytes'],
            'tap_dropped': tap['tx']['dropped'] + tap['rx']['dropped'],
            'iperf_retransmits': r['iperf_retransmits'], **m}


def counted(cell, before):
    """What the guest's kernel noted since 'before'."""
    after = cell.guest.counters()
    return {name: after[counter] - before[counter] for name, counter in GUEST_COUNTERS.items()}


def pumped(cell, words, timeout_s):
    """One run of 'pump' in the guest: a transfer whose pauses and bytes are looked at."""
    before, meter = cell.guest.counters(), cell.meter()
    r = cell.guest.json(f'{cell.bed.bin}/pump {words}', timeout_s)
    m = meter.stop()
    if 'error' in r:
        cell.bed.restart_pump()                         # it may be busy with this one still
    return {**r, **counted(cell, before), **m}


def both_ways(cell, words, timeout_s):
    """Up, then down; each figure's name begins with the way."""
    out = {}
    for way in ('up', 'down'):
        r = pumped(cell, words.format(way=way, server=testbed.SERVER), timeout_s)
        out.update({f'{way}_{k}': v for k, v in r.items()})
    out['foreign_cpus'] = max(out['up_foreign_cpus'], out['down_foreign_cpus'])
    return out


def stall(cell, opt):
    """The longest time in which nothing came to the reader of a long transfer."""
    return both_ways(cell, f'{{way}} {{server}} {STALL_S * 1000}', STALL_S + 10)


def stopped(cell, opt):
    """A reader that stops for a while and then reads on."""
    return both_ways(cell, f'{{way}}-stop {{server}} {STOPPED_MIB} {STOPPED_MS}', 20)


# ---- connections and round trips -----------------------------------------------------------------

def connections(cell, opt, parallel):
    meter = cell.meter()
    r = cell.bed.load(cell.guest, f'crr {parallel} {int(opt.seconds * 1000)}', opt.seconds + 15)
    m = meter.stop()
    if not r.get('done'):
        return {'error': r.get('error', 'not one was answered'), **m}
    return {'conn_s': r['per_s'], 's_per_1000': m['nat_cpu_s'] * 1000 / r['done'], 'failed': r['failed'],
            'p50_us': r['p50_us'], 'p99_us': r['p99_us'], **m}


@contextlib.contextmanager
def one_cpu():
    """All that is ours on the last CPU: a trip then costs work, not the waking of idle CPUs."""
    def pin(cpus):
        for pid in testbed.processes():
            with contextlib.suppress(OSError):
                for thread in os.listdir(f'/proc/{pid}/task'):
                    os.sched_setaffinity(int(thread), cpus)
    every = os.sched_getaffinity(0)
    pin({max(every)})
    try:
        yield
    finally:
        pin(every)


def trips(cell, run, count, pinned):
    """What run(count) says of that many round trips."""
    with one_cpu() if pinned else contextlib.nullcontext():
        meter = cell.meter()
        r = run(count)
        m = meter.stop()
    if 'error' in r:
        return {**r, **m}
    return {'p50_us': r['p50_us'], 'p99_us': r['p99_us'], 'us_per_trip': m['nat_cpu_s'] * 1e6 / count, **m}


def round_trips(cell, opt, pinned, count=RR_COUNT):
    return trips(cell, lambda n: cell.bed.load(cell.guest, f'rr {n}'), count, pinned)


# ---- datagrams -----------------------------------------------------------------------------------

def search(cell, flood):
    """The highest rate of datagrams of which less than 0.1 % is lost: doubled until it fails, then the gap is halved.
    flood(rate, ms) says how many were sent and arrived."""
    tried = []

    def trial(rate):
        for _ in range(2):                              # one failure may be chance
            meter = cell.meter()
            r = flood(rate, UDP_MS)
            m = meter.stop()
            if 'error' in r:
                raise BenchError(r['error'])
            lost, late = 1 - r['arrived'] / max(1, r['sent']), r['ms'] / UDP_MS
            tried.append([rate, round(lost, 5), round(late, 2)])
            if lost < UDP_LOSS and late < UDP_LATE:
                return {'packets_s': r['arrived'] / r['ms'] * 1000, 'us_per_packet': m['nat_cpu_s'] * 1e6 / r['arrived'], **m}
        return None

    good, below, above = None, 0, UDP_FIRST
    while above <= UDP_MOST and (result := trial(above)):
        good, below, above = result, above, above * 2
    for _ in range(UDP_HALVINGS):
        middle = (below + above) // 2
        if result := trial(middle):
            good, below = result, middle
        else:
            above = middle
    if not good:
        return {'error': f'more than 0.1 % lost at {middle} datagrams/s', 'tried': tried, **cell.meter().stop()}
    _, lost, late = next(t for t in reversed(tried) if t[1] >= UDP_LOSS or t[2] >= UDP_LATE)
    return {**good, 'limited_by': 'loss' if lost >= UDP_LOSS else 'sender', 'tried': tried}


def datagrams(cell, opt, down):
    return search(cell, lambda rate, ms: cell.bed.datagrams(cell.guest, down, rate, ms))


# ---- many flows ----------------------------------------------------------------------------------

def resting(cell, opt):
    return {'rss_kib': testbed.status_kib(cell.nat.pid, 'VmRSS'),
            'own_kib': testbed.status_kib(cell.nat.pid, 'RssAnon'),
            'threads': testbed.status_kib(cell.nat.pid, 'Threads')}


def beside_idle(cell, opt, count):
    """Opens idle flows, then measures memory, CPU at rest, and the rows above beside them."""
    bed = cell.bed
    rss_before, meter = testbed.status_kib(cell.nat.pid, 'VmRSS'), cell.meter()
    p = cell.guest.start([f'{bed.bin}/load', 'idle', testbed.SERVER, str(count)],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        opened = json.loads(first_line(p, 60) or '{"error": "not opened after 60 s"}')
        out = {**meter.stop(), **opened}
        if opened.get('open', 0) < count / 2:
            return {'error': f'{opened.get("open", 0)} of {count} flows opened', **out}
        out['open_s_per_1000'] = out['nat_cpu_s'] * 1000 / opened['open']
        time.sleep(0.5)                                 # for what follows the last handshake
        meter = cell.meter()
        time.sleep(2)
        rest = meter.stop()
        out['rest_cpu_percent'] = rest['nat_cpu_s'] / rest['wall_s'] * 100
        out['rss_kib'] = testbed.status_kib(cell.nat.pid, 'VmRSS')
        out['kib_per_flow'] = (out['rss_kib'] - rss_before) / opened['open']
        for name, row in (('up', lambda: bulk(cell, opt, 1, False)), ('down', lambda: bulk(cell, opt, 1, True)),
                          ('rr', lambda: round_trips(cell, opt, True, RR_COUNT // 4)),
                          ('crr1', lambda: connections(cell, opt, 1)), ('crr64', lambda: connections(cell, opt, 64))):
            r = row()
            out['foreign_cpus'] = max(out['foreign_cpus'], r['foreign_cpus'])
            out.update({f'{name}_{k}': v for k, v in r.items()})
            if sum(k.endswith('_error') for k in out) == 2:
                break                                   # it serves no more; do not wait for every time-out
        return out
    finally:
        testbed.end(p)


def busy(cell, opt, count):
    """That many flows, each of which sends a byte once a second and has it back."""
    p = cell.guest.start([f'{cell.bed.bin}/load', 'busy', testbed.SERVER, str(count), str(BUSY_MS)], stdout=subprocess.PIPE)
    try:
        opened = json.loads(first_line(p, 60) or '{"error": "not opened after 60 s"}')
        meter = cell.meter()
        if opened.get('open', 0) < count / 2:
            return {'error': f'{opened.get("open", 0)} of {count} flows opened', **opened, **meter.stop()}
        r = json.loads(first_line(p, BUSY_MS / 1000 + 15) or '{"error": "it did not end"}')
        m = meter.stop()
    finally:
        testbed.end(p)
    if not r.get('answered'):
        return {'error': r.get('error', 'no flow was answered'), **opened, **r, **m}
    return {**opened, **r, 'us_per_answer': m['nat_cpu_s'] * 1e6 / r['answered'], **m}


def first_line(process, timeout_s):
    text, deadline = b'', time.monotonic() + timeout_s
    while not text.endswith(b'\n'):
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        more = os.read(process.stdout.fileno(), 4096) if ready else b''
        if not more:
            return ''
        text += more
    return text.decode()


# ---- the table -----------------------------------------------------------------------------------

def bulk_row(name, word, streams, down, **more):
    figures = [('gbit_s', f'{word}, Gbit/s', 2), ('s_per_gib', f'{word}, CPU s/GiB', 3)]
    if not down:
        figures.append(('guest_retransmits', f'{word}, retransmissions', 0))
    cc = more.pop('cc', None)
    return Row(name, lambda c, o: bulk(c, o, streams, down, cc), figures, **{'mtus': BOTH, **more})


def trips_row(name, word, pinned, **more):
    return Row(name, lambda c, o: round_trips(c, o, pinned),
               [('p50_us', f'{word}, p50 us', 0), ('p99_us', f'{word}, p99 us', 0), ('us_per_trip', f'{word}, CPU us', 1)], **more)


def connections_row(n):
    return Row(f'crr{n}', lambda c, o: connections(c, o, n),
               [('conn_s', f'connections/s, {n} at a time', 0), ('p50_us', f'connections, {n}, p50 us', 0),
                ('p99_us', f'connections, {n}, p99 us', 0), ('s_per_1000', f'connections, {n}, CPU s/1000', 3),
                ('failed', f'connections, {n}, failed', 0)])


def datagrams_row(name, word, down):
    return Row(name, lambda c, o: datagrams(c, o, down),
               [('packets_s', f'{word}/s, < 0.1 % lost', 0), ('us_per_packet', f'{word}, CPU us', 2)], is_quick=False)


def idle_row(n, **more):
    return Row(f'idle{n}', lambda c, o: beside_idle(c, o, n), [(key, f'{n} idle: {word}', digits) for key, word, digits in (
        ('open', 'opened', 0), ('rss_kib', 'RSS, KiB', 0), ('kib_per_flow', 'KiB per flow', 2),
        ('rest_cpu_percent', 'CPU at rest, %', 2), ('open_s_per_1000', 'opening, CPU s/1000', 3),
        ('up_gbit_s', 'up, Gbit/s', 2), ('up_s_per_gib', 'up, CPU s/GiB', 3),
        ('up_guest_retransmits', 'up, retransmissions', 0),
        ('down_gbit_s', 'down, Gbit/s', 2), ('down_s_per_gib', 'down, CPU s/GiB', 3),
        ('rr_p50_us', 'round trip, p50 us', 0), ('rr_us_per_trip', 'round trip, CPU us', 1),
        ('crr1_conn_s', 'connections/s, 1', 0), ('crr64_conn_s', 'connections/s, 64', 0),
        ('crr64_s_per_1000', 'connections, 64, CPU s/1000', 3), ('crr64_failed', 'connections, 64, failed', 0))], **more)


def two_ways(figures):
    return [(f'{way}_{key}', word.format(way), digits) for way in ('up', 'down') for key, word, digits in figures]


add(Row('rss', resting, [('rss_kib', 'RSS with no flow, KiB', 0), ('own_kib', 'RSS with no flow, without files, KiB', 0)]),
    bulk_row('up1', 'up', 1, False),
    bulk_row('up1bbr', 'up, BBR', 1, False, mtus=PLAIN, cc='bbr'),
    bulk_row('down1', 'down', 1, True),
    bulk_row('up8', 'up, 8 streams', 8, False, is_quick=False),
    bulk_row('down8', 'down, 8 streams', 8, True, is_quick=False),
    trips_row('rr', 'round trip', True),
    trips_row('rrfree', 'round trip, unpinned', False, is_quick=False),
    connections_row(1), connections_row(64),
    datagrams_row('udpup', 'datagrams up', False), datagrams_row('udpdown', 'datagrams down', True),
    Row('stall', stall, two_ways([('gap_ms', '10 s {}: longest pause, ms', 1)]), is_quick=False, rounds=1),
    Row('stopped', stopped, two_ways([('wrong', 'reader stops, {}: bytes wrong', 0),
                                      ('late_mib', 'reader stops, {}: MiB missing after 10 s', 1),
                                      ('after_gbit_s', 'reader stops, {}: Gbit/s after', 2),
                                      ('after_gap_ms', 'reader stops, {}: longest pause after, ms', 1)]) +
        [('up_guest_retransmits', 'reader stops, up: retransmissions', 0),
         ('down_guest_old_segments', 'reader stops, down: segments sent again', 0)], is_quick=False, rounds=2),
    idle_row(1000), idle_row(10000, is_quick=False, rounds=2),
    Row('busy10000', lambda c, o: busy(c, o, 10000),
        [('open', '10000 busy: opened', 0), ('answered_s', '10000 busy: answers/s', 0), ('failed', '10000 busy: unanswered', 0),
         ('p50_us', '10000 busy: p50 us', 0), ('p99_us', '10000 busy: p99 us', 0), ('us_per_answer', '10000 busy: CPU us', 1)],
        is_quick=False))
