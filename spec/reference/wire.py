"""The frame codec (spec/wire.md): fixed-width little-endian integers, bare arrays, lengths as u64, strict."""

import base64
import binascii
import json

from errors import Refused

VERSION = 1
LARGEST = 4 << 20


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Refused("frame-truncated")
        self.at += count
        return self.data[self.at - count:self.at]


def malformed():
    return Refused("frame-malformed")


class Int:
    def __init__(self, size):
        self.size = size

    def from_json(self, value):
        if type(value) is not int or not 0 <= value < 256**self.size:
            raise malformed()
        return value

    def encode(self, value):
        return value.to_bytes(self.size, "little")

    def decode(self, reader):
        return int.from_bytes(reader.take(self.size), "little")

    def to_json(self, value):
        return value


class Bytes:
    """N bytes, bare; unpadded base64url in JSON."""

    def __init__(self, size):
        self.size = size

    def encode(self, value):
        assert len(value) == self.size
        return bytes(value)

    def decode(self, reader):
        return reader.take(self.size)

    def to_json(self, value):
        return base64url(value)

    def from_json(self, value):
        try:
            data = base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except (AttributeError, UnicodeEncodeError, binascii.Error, ValueError):
            raise malformed() from None
        # Padding, the other alphabet and non-zero trailing bits give another text.
        if len(data) != self.size or base64url(data) != value:
            raise malformed()
        return data


class Text:
    """UTF-8 behind its length."""

    def from_json(self, value):
        if not isinstance(value, str):
            raise malformed()
        return value

    def encode(self, value):
        data = value.encode()
        return len(data).to_bytes(8, "little") + data

    def decode(self, reader):
        count = int.from_bytes(reader.take(8), "little")
        if count > LARGEST - reader.at:
            # It claims more than any frame holds.
            raise Refused("frame-too-long")
        try:
            return reader.take(count).decode()
        except UnicodeDecodeError:
            raise Refused("frame-malformed") from None

    def to_json(self, value):
        return value


class List:
    def __init__(self, item):
        self.item = item

    def from_json(self, value):
        if not isinstance(value, list):
            raise malformed()
        return [self.item.from_json(item) for item in value]

    def encode(self, value):
        return len(value).to_bytes(8, "little") + b"".join(self.item.encode(item) for item in value)

    def decode(self, reader):
        count = int.from_bytes(reader.take(8), "little")
        items = []
        # Every item takes at least one byte, so that a false count ends with the input; nothing is allocated ahead.
        while len(items) < count:
            items.append(self.item.decode(reader))
        return items

    def to_json(self, value):
        return [self.item.to_json(item) for item in value]


class Tuple:
    """A fixed number of items, bare."""

    def __init__(self, *items):
        self.items = items

    def from_json(self, value):
        if not isinstance(value, list) or len(value) != len(self.items):
            raise malformed()
        return [item.from_json(part) for item, part in zip(self.items, value)]

    def encode(self, value):
        assert len(value) == len(self.items)
        return b"".join(item.encode(part) for item, part in zip(self.items, value))

    def decode(self, reader):
        return [item.decode(reader) for item in self.items]

    def to_json(self, value):
        return [item.to_json(part) for item, part in zip(self.items, value)]


class Option:
    def __init__(self, item):
        self.item = item

    def from_json(self, value):
        return None if value is None else self.item.from_json(value)

    def encode(self, value):
        return b"\0" if value is None else b"\1" + self.item.encode(value)

    def decode(self, reader):
        tag = reader.take(1)[0]
        if tag > 1:
            raise Refused("frame-malformed")
        return self.item.decode(reader) if tag else None

    def to_json(self, value):
        return None if value is None else self.item.to_json(value)


class Struct:
    def __init__(self, **fields):
        self.fields = fields

    def from_json(self, value):
        """Every field must be there, but for optional ones; unknown fields are ignored."""
        if not isinstance(value, dict):
            raise malformed()
        if any(name not in value for name, kind in self.fields.items() if not isinstance(kind, Option)):
            raise malformed()
        return {name: kind.from_json(value.get(name)) for name, kind in self.fields.items()}

    def encode(self, value):
        assert list(value) == list(self.fields), (list(value), list(self.fields))
        return b"".join(kind.encode(value[name]) for name, kind in self.fields.items())

    def decode(self, reader):
        return {name: kind.decode(reader) for name, kind in self.fields.items()}

    def to_json(self, value):
        return {name: kind.to_json(value[name]) for name, kind in self.fields.items()}


class Choice:
    """One of several variants behind a u32: a value is {variant name: content}, content None where there is none."""

    def __init__(self, **variants):
        self.variants = variants

    def from_json(self, value):
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, dict) or len(value) != 1:
            raise malformed()
        (name, content), = value.items()
        if name not in self.variants:
            raise malformed()
        kind = self.variants[name]
        if kind is None and content is not None:
            raise malformed()
        return {name: kind.from_json(content) if kind else None}

    def encode(self, value):
        (name, content), = value.items()
        kind = self.variants[name]
        return list(self.variants).index(name).to_bytes(4, "little") + (kind.encode(content) if kind else b"")

    def decode(self, reader):
        number = int.from_bytes(reader.take(4), "little")
        if number >= len(self.variants):
            raise Refused("frame-malformed")
        name = list(self.variants)[number]
        kind = self.variants[name]
        return {name: kind.decode(reader) if kind else None}

    def to_json(self, value):
        (name, content), = value.items()
        kind = self.variants[name]
        return {name: kind.to_json(content)} if kind else name


U8, U16, U64, B16, B32 = Int(1), Int(2), Int(8), Bytes(16), Bytes(32)

PROOF = Struct(t=B32, u=B32)
SIGNATURE = Struct(r=B32, s=B32, t=B32)
TOKEN = Struct(keyset=U8, denomination=U64, key=B32, signature=SIGNATURE)
TOKENS = Struct(keysets=List(B32), tokens=List(TOKEN))
SPENT_KEY = Struct(keyset=B32, denomination=U64, key=B32)
CLAIM = Struct(position=U8, denomination=U64, key=B32, secret=B32)
FUNDING = Choice(Voucher=B32, Refresh=TOKENS, Change=Struct(statement=B32, list=List(SPENT_KEY)),
                 Reclaim=Struct(statement=B32, list=List(SPENT_KEY)),
                 Recovery=Struct(keyset=B32, session=B32, leaves=List(B32), claims=List(CLAIM)))
COMMITMENT = Struct(a=B32, b=B32)
RESPONSE = Struct(b=B32, y=B32, z=B32)
MARK = Struct(ledger=B16, sequence=U64)
SIDE = Struct(statement=B32, list=List(SPENT_KEY), proof=PROOF)


class Frame:
    """A kind of frame: number, size limit, body."""

    def __init__(self, name, kind, limit, body):
        self.name, self.kind, self.limit, self.body = name, kind, limit, body

    def encode(self, value):
        data = bytes([VERSION, self.kind]) + self.body.encode(value)
        assert len(data) <= self.limit
        return data

    def decode(self, data):
        if len(data) > self.limit:
            raise Refused("frame-too-long")
        if len(data) < 2:
            raise Refused("frame-truncated")
        if data[0] != VERSION:
            raise Refused("frame-unknown-version")
        if data[1] != self.kind:
            raise Refused("frame-wrong-kind")
        reader = Reader(data[2:])
        value = self.body.decode(reader)
        if reader.at != len(reader.data):
            raise Refused("frame-trailing-bytes")
        if bytes([VERSION, self.kind]) + self.body.encode(value) != data:
            raise Refused("frame-non-canonical")
        return value

    def to_json(self, value):
        return self.body.to_json(value)

    def decode_json(self, text):
        def no_duplicates(pairs):
            if len({name for name, _ in pairs}) != len(pairs):
                raise malformed()
            return dict(pairs)

        try:
            value = json.loads(text, object_pairs_hook=no_duplicates)
        except ValueError:
            raise malformed() from None
        return self.body.from_json(value)


PAYMENT_BODY = Struct(amount=U64, deposit_by=U64, tokens=TOKENS, proof=PROOF)
PAYMENT = Frame("PaymentFrame", 1, 8 << 10, PAYMENT_BODY)
REREAD = Frame("RereadFrame", 2, 98, Struct(payment=B32, proof=PROOF))
OPEN_REQUEST = Frame("OpenRequestFrame", 3, 16 << 10, Struct(
    keyset=B32, denominations=List(U64), funding=FUNDING, recovery=B32, recovery_commitment=B32, proof=PROOF))
OPEN_RESPONSE = Frame("OpenResponseFrame", 4, 32 << 10, Struct(session=B16, expires=U64, commitments=List(COMMITMENT)))
ISSUE_REQUEST = Frame("IssueRequestFrame", 5, 16 << 10, Struct(session=B16, challenges=List(B32), proof=PROOF))
ISSUE_RESPONSE = Frame("IssueResponseFrame", 6, 32 << 10, Struct(responses=List(RESPONSE)))
DEPOSIT = Struct(recipient=Text(), subject=B32, payment=PAYMENT_BODY)
DEPOSIT_REQUEST = Frame("DepositRequestFrame", 7, 5 << 18, Struct(seen=Option(MARK), payments=List(DEPOSIT)))
DOUBLE_SPEND_BODY = Struct(token=SPENT_KEY, signature=SIGNATURE, sides=Tuple(SIDE, SIDE))
OUTCOME = Choice(Credited=Struct(change=U64), AlreadyCredited=Struct(change=U64), Refunded=None,
                 DoubleSpent=DOUBLE_SPEND_BODY, Refused=U16)
DEPOSIT_RESPONSE = Frame("DepositResponseFrame", 8, 4 << 20, Struct(
    mark=MARK, receipt_key=B32, outcomes=List(OUTCOME), proof=PROOF))
DOUBLE_SPEND = Frame("DoubleSpendFrame", 9, 8 << 10, DOUBLE_SPEND_BODY)
KEYSET = Struct(published=U64, currency=Text(), decimals=U8, windows=Tuple(U64, U64, U64, U64, U64), receipt_key=B32,
                keys=List(Tuple(U64, B32)), proof=PROOF)
KEYSET_LIST = Frame("KeysetListFrame", 10, 2 << 20, Struct(root=B32, keysets=List(KEYSET)))

REFUND_OUTCOME = Choice(Refunded=None, AlreadyRefunded=None, Refused=U16)
REFUND_REQUEST = Frame("RefundRequestFrame", 11, 512, Struct(payment=B32, publisher=Text(), proof=PROOF))
REFUND_RESPONSE = Frame("RefundResponseFrame", 12, 128, Struct(mark=MARK, receipt_key=B32, outcome=REFUND_OUTCOME, proof=PROOF))
RECORDED_OUTPUT = Struct(denomination=U64, commitment=COMMITMENT, response=RESPONSE)
RECORDED_SESSION = Struct(recovery=B32, outputs=List(RECORDED_OUTPUT))
RESTORE_BUCKET = Frame("RestoreBucketFrame", 13, 3 << 20, Struct(keyset=B32, bucket=U64, sessions=List(RECORDED_SESSION)))

FRAMES = [PAYMENT, REREAD, OPEN_REQUEST, OPEN_RESPONSE, ISSUE_REQUEST, ISSUE_RESPONSE, DEPOSIT_REQUEST, DEPOSIT_RESPONSE,
          DOUBLE_SPEND, KEYSET_LIST, REFUND_REQUEST, REFUND_RESPONSE, RESTORE_BUCKET]
BY_KIND = {frame.kind: frame for frame in FRAMES}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
