"""Keccak-f[1600] (FIPS 202, section 3), on 25 lanes of 64 bits. Slow and obvious."""

MASK = (1 << 64) - 1


def rotate(lane, by):
    by %= 64
    return ((lane << by) | (lane >> (64 - by))) & MASK if by else lane


def round_constants():
    """FIPS 202, algorithm 5: one bit a step of a linear feedback shift register."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            if register & 1:
                constant |= 1 << ((1 << j) - 1)
            register <<= 1
            if register & 0x100:
                register ^= 0x171
        constants.append(constant)
    return constants


def rotations():
    """FIPS 202, algorithm 2: the rotation of every lane (x, y), lane 0 not rotated."""
    table, x, y = [0] * 25, 1, 0
    for t in range(24):
        table[x + 5 * y] = ((t + 1) * (t + 2) // 2) % 64
        x, y = y, (2 * x + 3 * y) % 5
    return table


CONSTANTS = round_constants()
ROTATIONS = rotations()


def permute(state):
    """The permutation on 200 bytes."""
    a = [int.from_bytes(state[8 * i:8 * i + 8], "little") for i in range(25)]
    for constant in CONSTANTS:
        # theta
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x - 1) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
        # rho and pi
        b = [0] * 25
        for x in range(5):
            for y in range(5):
                b[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(a[x + 5 * y] ^ d[x], ROTATIONS[x + 5 * y])
        # chi
        a = [b[i] ^ (~b[i - i % 5 + (i + 1) % 5] & b[i - i % 5 + (i + 2) % 5] & MASK) for i in range(25)]
        # iota
        a[0] ^= constant
    return bytearray(b"".join(lane.to_bytes(8, "little") for lane in a))


def sha3_256(message):
    """SHA3-256, only to test the permutation against the standard library."""
    state, rate = bytearray(200), 136
    padded = bytearray(message + b"\x06")
    padded += bytes(-len(padded) % rate)
    padded[-1] ^= 0x80
    for start in range(0, len(padded), rate):
        for i in range(rate):
            state[i] ^= padded[start + i]
        state = permute(state)
    return bytes(state[:32])
