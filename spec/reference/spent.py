"""Filters of spent tokens (spec/wire.md, section 5): marks, a builder of our own, and the look-up."""

import labels

MASK = (1 << 64) - 1
MAGIC = b"fspent/2"


def mark(keyset, denomination, key):
    spent = keyset + denomination.to_bytes(8, "big") + key
    return int.from_bytes(labels.Transcript(labels.SPENT_MARK).bytes("key", spent).digest()[:8], "little")


def places(value, seed, block, starts):
    h = (value + seed) & MASK
    h = ((h ^ h >> 33) * 0xFF51AFD7ED558CCD) & MASK
    h = ((h ^ h >> 33) * 0xC4CEB9FE1A85EC53) & MASK
    h ^= h >> 33
    first = h * starts >> 64
    return (first, (first + block) ^ (h >> 18 & block - 1), (first + 2 * block) ^ (h & block - 1)), (h ^ h >> 32) & 0xFFFF


def build(keyset, first, marks, block=8, starts=16):
    """A segment of a few marks: peels one place after the other, with the first seed that lets it."""
    for seed in range(1, 1000):
        left, order = {value: places(value, seed, block, starts)[0] for value in marks}, []
        while left:
            used = [place for own in left.values() for place in own]
            alone = next(((v, p) for v, own in left.items() for p in own if used.count(p) == 1), None)
            if alone is None:
                break
            order.append(alone)
            del left[alone[0]]
        if not left:
            break
    prints = [0] * (starts + 2 * block)
    for value, place in reversed(order):
        own, short = places(value, seed, block, starts)
        for other in own:
            short ^= prints[other] if other != place else 0
        prints[place] = short
    numbers = [(first, 8), (len(marks), 8), (seed, 8), (block, 4), (starts, 4)]
    return MAGIC + keyset + b"".join(number.to_bytes(size, "little") for number, size in numbers) + b"".join(short.to_bytes(2, "little") for short in prints)


def may_hold(segment, value):
    seed, block, starts = (int.from_bytes(segment[a:b], "little") for a, b in ((56, 64), (64, 68), (68, 72)))
    own, short = places(value, seed, block, starts)
    for place in own:
        short ^= int.from_bytes(segment[72 + 2 * place:74 + 2 * place], "little")
    return short == 0
