"""What was measured, as tables: medians, spread, ratios."""
import json, statistics

import guests, limits
from peers import BOTH, PEERS, STREAM, TAP, VHOST
from rows import ROWS

BUSY = 0.9                              # of a CPU
PEER = {p.name: p for p in PEERS}


def titles():
    """Row, MTU, figure, title, decimals; in the order of the table."""
    for row in ROWS.values():
        for mtu in row.mtus:
            for f in row.figures:
                yield row.name, mtu, f.key, f.title, f.digits


def cell_text(values, digits):
    """The median, and half the spread in percent of it; the extremes themselves of small whole numbers."""
    if not values:
        return '-'
    median = statistics.median(values)
    half = (max(values) - min(values)) / 2
    if digits == 0 and median < 100 and half >= 0.5:
        return f'{median:.0f} ({min(values):.0f}-{max(values):.0f})'
    percent = half / median * 100 if median >= 0.5 / 10 ** digits else 0
    return f'{median:.{digits}f}' + (f' ±{percent:.0f}%' if percent >= 0.5 else '')


def error_of(figures, key):
    """Why this figure is missing: the row failed, or the part of it that the figure's name begins with."""
    return figures.get('error') or figures.get(key.split('_')[0] + '_error')


class Found:
    """Results by row, MTU and peer; then by round."""

    def __init__(self, results):
        self.by = {}
        for r in results['rows']:
            self.by.setdefault((r['row'], r['mtu'], r['peer']), {})[r['round']] = r['figures']

    def has(self, mtu, peer):
        return any(key[1:] == (mtu, peer) for key in self.by)

    def text(self, row, mtu, peer, key, digits):
        runs = self.by.get((row, mtu, peer), {}).values()
        good = [f[key] for f in runs if f.get(key) is not None]
        bad = sum(error_of(f, key) is not None for f in runs)
        noisy = runs and statistics.median(f.get('foreign_cpus', 0) for f in runs) > 0.25
        return (('failed' if bad and not good else cell_text(good, digits)) + ('~' if noisy and good else '') +
                (f' [{bad} failed]' if bad and good else ''))

    def ratio(self, row, key, mine, theirs):
        """The median of the rounds' ratios between two of (MTU, peer)."""
        mine, theirs = self.by.get((row, *mine), {}), self.by.get((row, *theirs), {})
        v = [mine[n][key] / theirs[n][key] for n in mine if mine[n].get(key) is not None and theirs.get(n, {}).get(key)]
        return f'{statistics.median(v):.2f}' if v else '-'


def drawn(lines):
    widths = [max(len(x[i]) for x in lines) for i in range(len(lines[0]))]

    def draw(x):
        return '| ' + ' | '.join(s.ljust(w) if i == 0 else s.rjust(w) for i, (s, w) in enumerate(zip(x, widths))) + ' |'
    return '\n'.join([draw(lines[0]), '|' + '|'.join('-' * (w + 2) for w in widths) + '|'] + [draw(x) for x in lines[1:]])


def stream_table(results):
    found = Found(results)
    peers = [p.name for p in PEERS if p.kind in (STREAM, TAP) and any(found.has(mtu, p.name) for mtu in BOTH)]
    others = [p for p in peers if p != 'lwnat'] if 'lwnat' in peers else []
    lines = [['figure', 'MTU'] + peers + [f'lwnat/{p}' for p in others]]
    for row, mtu, key, title, digits in titles():
        line = [found.text(row, mtu, p, key, digits) for p in peers]
        if any(x != '-' for x in line):
            lines.append([title, str(mtu)] + line + [found.ratio(row, key, (mtu, 'lwnat'), (mtu, p)) for p in others])
    return drawn(lines) if len(lines) > 1 else ''


def vhost_table(results):
    """Columns are peers at an MTU: what passt gains from a larger one, offloads give a guest that stays at 1500."""
    found, mine = Found(results), (1500, 'lwnat-vu')
    passt = 'passt-new' if 'passt-new' in results['peers'] else 'passt'
    columns = [(mtu, p.name) for mtu in BOTH for p in sorted(PEERS, key=lambda p: p.kind != VHOST)
               if found.has(mtu, p.name) and (p.kind == VHOST or p.name in ('lwnat', passt))]
    vhost = [c for c in columns if PEER[c[1]].kind == VHOST]
    if not any(mtu == 1500 for mtu, _ in vhost):
        return ''
    others = [c for c in columns if c[1].startswith('passt') or c == (1500, 'lwnat')] if mine in columns else []
    lines = [['figure'] + [f'{p} {mtu}' for mtu, p in columns] + [f'/{p} {mtu}' for mtu, p in others]]
    for row, mtu, key, title, digits in titles():
        line = {c: found.text(row, *c, key, digits) for c in columns}
        if mtu == 1500 and any(line[c] != '-' for c in vhost):
            lines.append([title, *line.values()] + [found.ratio(row, key, mine, c) for c in others])
    return 'vhost-user; ratios are those of lwnat-vu 1500\n\n' + drawn(lines) if len(lines) > 1 else ''


def is_compared(mine, theirs):
    """Over one transport; libslirp has none."""
    is_other = not theirs.startswith('lwnat') or theirs.startswith('lwnat-b')
    return mine in guests.OURS and is_other and (bool(PEER[mine].ring) == bool(PEER[theirs].ring) or theirs.startswith('libslirp'))


def guest_tables(results):
    """One for each row of real guests and each MTU."""
    found = Found(results)
    for row, mtu in ((r, m) for r in ROWS.values() if r.name in guests.TITLES for m in r.mtus):
        names = [name for name in row.peers if (row.name, mtu, name) in found.by]
        pairs = [(a, b) for a in names for b in names if is_compared(a, b)]
        lines = [[f'figure, MTU {mtu}'] + names + [f'{a}/{b}' for a, b in pairs]]
        for f in row.figures:
            line = [found.text(row.name, mtu, name, f.key, f.digits) for name in names]
            if any(x != '-' for x in line):
                lines.append([f.title, *line] + [found.ratio(row.name, f.key, (mtu, a), (mtu, b)) for a, b in pairs])
        if len(lines) > 1:
            yield f'{guests.TITLES[row.name]}\n\n{drawn(lines)}'


def limit_of(nat, card, idle):
    """What stands in the way of more, from the CPUs in use."""
    if nat > BUSY or card > BUSY:
        return 'the NAT, one thread' if nat > card else 'the bridge'
    return 'all CPUs are busy' if idle < 1 - BUSY else 'waiting'


def shares_table(results):
    """How many CPUs each part used while a row was measured."""
    by = {}
    for r in results['rows']:
        if r['figures'].get('idle_cpus') is not None and 'error' not in r['figures'] and r['peer'] in PEER:
            by.setdefault((r['row'], r['mtu'], r['peer']), []).append(r['figures'])
    lines = [['row', 'MTU', 'peer', 'NAT', 'bridge', 'ends', 'strangers', 'idle', 'limit']]
    for (row, mtu, peer), runs in by.items():
        def median(share):
            return statistics.median(share(f) for f in runs)
        nat, card = (median(lambda f: f[key] / f['wall_s']) for key in ('nat_cpu_s', 'bridge_cpu_s'))
        ends, strangers, idle = (median(lambda f: f[key]) for key in ('ends_cpus', 'foreign_cpus', 'idle_cpus'))
        limit = 'one CPU for all' if row == 'rr' else limit_of(nat, card, idle)
        if 'packets_s' in runs[0]:                      # the rate is that of the last good trial, not the most it could use
            limit = statistics.mode(f['limited_by'] for f in runs)
        lines.append([row, str(mtu), peer] + [f'{x:.2f}' for x in (nat, card, ends, strangers, idle)] + [limit])
    return drawn(lines) if len(lines) > 1 else ''


def limits_table(results):
    """What the machine does with no NAT, beside what lwnat does on it."""
    found = Found(results)
    lines = [['the machine\'s own limit', *limits.NAMES, 'lwnat', 'lwnat/wire']]
    for row, _, key, title, digits in (t for t in titles() if t[1] == 1500):
        line = [found.text(row, 1500, name, key, digits) for name in limits.NAMES]
        if any(x != '-' for x in line):
            lines.append([title, *line, found.text(row, 1500, 'lwnat', key, digits),
                          found.ratio(row, key, (1500, 'lwnat'), (1500, 'wire'))])
    copied = [found.text('memcpy', 1500, 'loopback', key, 1) for key in ('cache_gib_s', 'memory_gib_s')]
    return drawn(lines) + f'\nmemcpy, GiB/s: {copied[0]} within the cache, {copied[1]} of memory' if len(lines) > 1 else ''


def show(results, with_shares=False):
    print(f'{results["when"]}, Linux {results["kernel"]}, {results["cpu"]}, {results["cpus"]} CPUs; '
          f'{results["rounds"]} rounds of {results["seconds"]:g} s a row, {results["cc"]}')
    for name, version in results['peers'].items():
        print(f'{name}: {version}')
    shares = shares_table(results) if with_shares else ''
    tables = stream_table(results), vhost_table(results), *guest_tables(results), limits_table(results), shares
    for text in filter(None, tables):
        print('\n' + text)
    print('\nmedian ±half the spread; a ratio is the median of the rounds\' ratios; '
          '~: strangers used over a quarter of a CPU')
    failures = {(r['row'], r['mtu'], r['peer'], k, v) for r in results['rows'] for k, v in r['figures'].items()
                if k == 'error' or k.endswith('_error')}
    for row, mtu, peer, key, error in sorted(failures):
        part = key.removesuffix('error').rstrip('_')
        print(f'failed: {peer}, {row}{part and ", " + part} at {mtu}: {error}')


def write_brief(results, name):
    """What the tables show of the results, and no more: small enough to be kept with the source."""
    wanted = {}
    for row, _, key, _, _ in titles():
        wanted.setdefault(row, {'foreign_cpus', 'cache_gib_s', 'memory_gib_s'}).add(key)

    def brief(row, figures):
        return {k: float(f'{v:.4g}') if isinstance(v, float) else v for k, v in figures.items()
                if k in wanted.get(row, figures) or k == 'error' or k.endswith('_error')}
    rows = [json.dumps({**r, 'figures': brief(r['row'], r['figures'])}) for r in results['rows']]
    head = json.dumps({k: v for k, v in results.items() if k != 'rows'}, indent=1)
    with open(name, 'w') as f:
        f.write(head[:-2] + ',\n "rows": [\n' + ',\n'.join(rows) + '\n]}\n')
