"""What all files of defects use: how a vector is written down, and the usual ways of spoiling something."""

import copy

import ristretto
from ristretto import L

NON_CANONICAL_SCALAR = L.to_bytes(32, "little")
NON_CANONICAL_POINT = bytes.fromhex("f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
NEGATIVE_POINT = bytes.fromhex("01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
NON_SQUARE_POINT = bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371")
IDENTITY = bytes(32)


def vector(layer, name, operation, error, harm, input_):
    return {"name": name, "layer": layer, "operation": operation, "error": error, "harm": harm, "input": input_}


def changed(value, change):
    """A deep copy with one change."""
    value = copy.deepcopy(value)
    change(value)
    return value


def flip(data):
    return bytes([data[0] ^ 1]) + data[1:]


def plus(scalar_bytes, delta):
    return ristretto.encode_scalar(int.from_bytes(scalar_bytes, "little") + delta)
