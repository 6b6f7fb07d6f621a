"""ristretto255 (RFC 9496), and scalars modulo its order. Integers in, integers out; nothing here is constant time."""

from errors import Refused

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def is_negative(x):
    return x % P & 1 == 1


def absolute(x):
    return -x % P if is_negative(x) else x % P


def sqrt_ratio(u, v):
    """RFC 9496 section 4.2: (whether u/v is a square, the non-negative root of u/v or of i u/v)."""
    r = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * r * r % P
    correct, flipped, flipped_i = check == u % P, check == -u % P, check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return correct or flipped, absolute(r)


INVSQRT_A_MINUS_D = sqrt_ratio(1, -1 - D)[1]
# RFC 9496 section 4.1 fixes the sign of this root: it is the odd one.
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P


class Element:
    """A group element: an Edwards point (X : Y : Z : T) that stands for its coset."""

    def __init__(self, x, y, z, t):
        self.x, self.y, self.z, self.t = x, y, z, t

    def __add__(self, other):
        a = (self.y - self.x) * (other.y - other.x) % P
        b = (self.y + self.x) * (other.y + other.x) % P
        c = 2 * D * self.t * other.t % P
        d = 2 * self.z * other.z % P
        e, f, g, h = b - a, d - c, d + c, b + a
        return Element(e * f % P, g * h % P, f * g % P, e * h % P)

    def double(self):
        a, b, c = self.x * self.x % P, self.y * self.y % P, 2 * self.z * self.z % P
        h = a + b
        e = h - (self.x + self.y) ** 2
        g = a - b
        f = c + g
        return Element(e * f % P, g * h % P, f * g % P, e * h % P)

    def __neg__(self):
        return Element(-self.x % P, self.y, self.z, -self.t % P)

    def __sub__(self, other):
        return self + -other

    def __rmul__(self, scalar):
        """scalar times self, four bits at a time."""
        scalar %= L
        table = [IDENTITY]
        for _ in range(15):
            table.append(table[-1] + self)
        sum_ = IDENTITY
        for shift in range(252, -1, -4):
            sum_ = sum_.double().double().double().double()
            digit = scalar >> shift & 15
            if digit:
                sum_ = sum_ + table[digit]
        return sum_

    def __eq__(self, other):
        """RFC 9496 section 4.3.3."""
        return (self.x * other.y - self.y * other.x) % P == 0 or (self.y * other.y - self.x * other.x) % P == 0

    def is_identity(self):
        return self == IDENTITY

    def encode(self):
        """RFC 9496 section 4.3.2."""
        u1 = (self.z + self.y) * (self.z - self.y) % P
        u2 = self.x * self.y % P
        _, invsqrt = sqrt_ratio(1, u1 * u2 * u2)
        den1, den2 = invsqrt * u1 % P, invsqrt * u2 % P
        z_inv = den1 * den2 * self.t % P
        if is_negative(self.t * z_inv):
            x, y = self.y * SQRT_M1 % P, self.x * SQRT_M1 % P
            den_inv = den1 * INVSQRT_A_MINUS_D % P
        else:
            x, y, den_inv = self.x, self.y, den2
        if is_negative(x * z_inv):
            y = -y % P
        return absolute(den_inv * (self.z - y)).to_bytes(32, "little")


IDENTITY = Element(0, 1, 1, 0)


def decode(encoded):
    """RFC 9496 section 4.3.1: an element, or Refused. The identity is an element here."""
    s = int.from_bytes(encoded, "little")
    if len(encoded) != 32 or s >= P or is_negative(s):
        raise Refused("non-canonical-point")
    ss = s * s % P
    u1, u2 = (1 - ss) % P, (1 + ss) % P
    u2_sq = u2 * u2 % P
    v = (-D * u1 * u1 - u2_sq) % P
    was_square, invsqrt = sqrt_ratio(1, v * u2_sq)
    den_x = invsqrt * u2 % P
    den_y = invsqrt * den_x * v % P
    x = absolute(2 * s * den_x)
    y = u1 * den_y % P
    t = x * y % P
    if not was_square or is_negative(t) or y == 0:
        raise Refused("non-canonical-point")
    return Element(x, y, 1, t)


def decode_point(encoded):
    """A point of the protocol: an element other than the identity."""
    point = decode(encoded)
    if point.is_identity():
        raise Refused("identity-point")
    return point


def map_to_element(bits):
    """RFC 9496 section 4.3.4, MAP."""
    t = int.from_bytes(bits, "little") % 2**255 % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * ONE_MINUS_D_SQ % P
    v = (-1 - r * D) * (r + D) % P
    was_square, s = sqrt_ratio(u, v)
    if not was_square:
        s = -absolute(s * t) % P
    c = -1 if was_square else r
    n = (c * (r - 1) * D_MINUS_ONE_SQ - v) % P
    w0, w1, w2, w3 = 2 * s * v, n * SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    return Element(w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P)


def from_uniform_bytes(uniform):
    """RFC 9496 section 4.3.4: 64 bytes to an element."""
    assert len(uniform) == 64
    return map_to_element(uniform[:32]) + map_to_element(uniform[32:])


G = decode(bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"))


def decode_scalar(encoded):
    """An integer below l, 32 bytes little-endian."""
    scalar = int.from_bytes(encoded, "little")
    if len(encoded) != 32 or scalar >= L:
        raise Refused("non-canonical-scalar")
    return scalar


def decode_non_zero_scalar(encoded):
    scalar = decode_scalar(encoded)
    if scalar == 0:
        raise Refused("zero-scalar")
    return scalar


def encode_scalar(scalar):
    return (scalar % L).to_bytes(32, "little")


def wide_scalar(bytes_):
    """64 bytes reduced modulo l: how every random or hashed scalar is made."""
    assert len(bytes_) == 64
    return int.from_bytes(bytes_, "little") % L


def inverse(scalar):
    return pow(scalar, -1, L)
