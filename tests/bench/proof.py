"""Is what arrives what was sent? Data through every peer, both ways, compared by its hash."""
import bed as testbed
from bed import BenchError, Cell
from peers import PEERS, VHOST

VERIFY, VERIFY_MIB = f'{testbed.ROOT}/tests/bench/verify.py', 24
CSUM, HOST_TSO = 1 << 0, 1 << 11        # virtio-net's feature bits


def front_faults(front, mtu):
    """What a front-end with checksum offload must have seen after data of all sizes went both ways."""
    if not front:
        return ['it ended early']
    faults = [f'the TAP refused {front["refused"]} frames'] if front['refused'] else []
    if front['features'] & CSUM:
        faults += [f'no {word} frame' for word in ('tx_marked', 'rx_marked') if not front[word]]
    if front['features'] & HOST_TSO and mtu == 1500:
        faults += [f'no {word} frame' for word in ('tx_large', 'rx_large', 'rx_merged') if not front[word]]
    return faults


def verify_cell(bed, peer, mtu):
    """The words of one line, and whether all is right."""
    with Cell(bed, peer, mtu) as cell:
        found = {}
        for family, address in (('IPv4', testbed.SERVER), ('IPv6', testbed.SERVER6)):
            if family == 'IPv6' and not (peer.name.startswith('lwnat') and cell.has_v6()):
                continue
            r = cell.guest.json(['python3', VERIFY, 'check', address, str(VERIFY_MIB)], 60)
            found.update({f'{family} {k}': v for k, v in r.items()})
        if peer.name.startswith('lwnat') and 'IPv6 up' not in found:
            found['IPv6'] = 'the guest has no address'
    for n, fault in enumerate(front_faults(cell.front, mtu) if peer.kind == VHOST else []):
        found[f'front {n}'] = fault
    wrong = [f'{k}: {v}' for k, v in found.items() if v != 'right']
    return '; '.join(wrong) if wrong else f'{len(found)} right', not wrong


def verify(opt, bed, names):
    servers = [bed.server.start(['python3', VERIFY, 'serve', a]) for a in (testbed.SERVER, testbed.SERVER6)]
    good = True
    for peer in (p for p in PEERS if p.name in names):
        for mtu in (m for m in opt.mtus if m in peer.mtus):
            try:
                text, right = verify_cell(bed, peer, mtu)
            except BenchError as e:
                text, right = str(e), False
            print(f'{"ok" if right else "not ok"} - {peer.name} at {mtu}: {text}', flush=True)
            # passt's faults are its own.
            good &= right or not peer.name.startswith('lwnat')
    for p in servers:
        testbed.end(p)
    return good
