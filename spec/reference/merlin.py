"""Merlin transcripts over STROBE-128 (spec/primitives.md, section 3)."""

from strobe import Strobe128


class Transcript:
    def __init__(self, label):
        self.strobe = Strobe128(b"Merlin v1.0")
        self.append(b"dom-sep", label)

    def clone(self):
        copy = object.__new__(Transcript)
        copy.strobe = self.strobe.clone()
        return copy

    def append(self, label, message):
        self.strobe.meta_ad(label, False)
        self.strobe.meta_ad(len(message).to_bytes(4, "little"), True)
        self.strobe.ad(message, False)

    def challenge(self, label, count):
        self.strobe.meta_ad(label, False)
        self.strobe.meta_ad(count.to_bytes(4, "little"), True)
        return self.strobe.prf(count)
