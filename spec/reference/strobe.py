"""STROBE-128 as Merlin uses it: the operations meta-AD, AD and PRF only (spec/primitives.md, section 3)."""

import keccak

R = 166
FLAG_I, FLAG_A, FLAG_C, FLAG_T, FLAG_M, FLAG_K = 1, 2, 4, 8, 16, 32


class Strobe128:
    def __init__(self, protocol):
        self.state = bytearray(200)
        self.state[0:6] = bytes([1, R + 2, 1, 0, 1, 96])
        self.state[6:18] = b"STROBEv1.0.2"
        self.state = keccak.permute(self.state)
        self.position = 0
        self.begin = 0
        self.meta_ad(protocol, False)

    def clone(self):
        copy = object.__new__(Strobe128)
        copy.state = bytearray(self.state)
        copy.position, copy.begin = self.position, self.begin
        return copy

    def meta_ad(self, data, more):
        self.operation(FLAG_M | FLAG_A, more)
        self.absorb(data)

    def ad(self, data, more):
        self.operation(FLAG_A, more)
        self.absorb(data)

    def prf(self, count):
        self.operation(FLAG_I | FLAG_A | FLAG_C, False)
        out = bytearray()
        for _ in range(count):
            out.append(self.state[self.position])
            self.state[self.position] = 0
            self.advance()
        return bytes(out)

    def operation(self, flags, more):
        if more:
            return
        before, self.begin = self.begin, self.position + 1
        self.absorb(bytes([before, flags]))
        if flags & (FLAG_C | FLAG_K) and self.position != 0:
            self.run()

    def absorb(self, data):
        for byte in data:
            self.state[self.position] ^= byte
            self.advance()

    def advance(self):
        self.position += 1
        if self.position == R:
            self.run()

    def run(self):
        self.state[self.position] ^= self.begin
        self.state[self.position + 1] ^= 0x04
        self.state[R + 1] ^= 0x80
        self.state = keccak.permute(self.state)
        self.position = self.begin = 0
