"""The `Payment` scheme, method `farthing`: D, canonical JSON, credentials (spec/http.md)."""

import base64
import binascii
import json

import labels
from errors import Refused
from wire import base64url

PARAMETERS = ["id", "realm", "method", "intent", "request", "expires", "digest", "opaque", "description", "header"]
REQUEST_FIELDS = {"amount": str, "currency": str, "recipient": str, "externalId": str, "methodDetails": dict}
DETAIL_FIELDS = {"mint": str, "keysets": str, "title": str, "access": int, "resource": str, "depositBy": int}
OPTIONAL_DETAILS = {"minimum": str, "maximum": str, "scope": str}


def subject(challenge, salt):
    """D: every echoed parameter, raw, in this order; absent ones are marked."""
    transcript = labels.Transcript(labels.HTTP_CHALLENGE).bytes("salt", salt)
    for name in PARAMETERS:
        value = challenge.get(name)
        transcript.bytes("name", name.encode()).optional("value", None if value is None else value.encode())
    return transcript.digest()


def canonical(value):
    """RFC 8785 for the JSON used here: objects of ASCII keys, strings, integers below 2^53."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode_request(request):
    return base64url(canonical(request).encode())


def decode_base64url(text):
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise Refused("malformed-credential") from None
    if base64url(data) != text:
        raise Refused("malformed-credential")
    return data


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Refused("malformed-credential")
    return dict(pairs)


def parse_json(text):
    try:
        return json.loads(text, object_pairs_hook=no_duplicates)
    except ValueError:
        raise Refused("malformed-credential") from None


def check_fields(value, required, optional):
    def fits(item, kind):
        return type(item) is kind and (kind is not int or 0 <= item < 2**64)
    if not isinstance(value, dict) or not set(required) <= set(value) <= set(required) | set(optional):
        raise Refused("malformed-credential")
    if not all(fits(item, required.get(name) or optional[name]) for name, item in value.items()):
        raise Refused("malformed-credential")


def parse_authorization(header):
    """The value of an `Authorization` header: (echoed challenge, payload, the frame's bytes, salt)."""
    if not header.startswith("Payment "):
        raise Refused("malformed-credential")
    try:
        value = parse_json(decode_base64url(header.removeprefix("Payment ")).decode())
    except UnicodeDecodeError:
        raise Refused("malformed-credential") from None
    if not isinstance(value, dict) or set(value) != {"challenge", "payload"} or not isinstance(value["challenge"], dict):
        raise Refused("malformed-credential")
    payload = parse_payload(json.dumps(value["payload"]))
    if "reread" in payload:
        return value["challenge"], payload, decode_base64url(payload["reread"]), b""
    salt = decode_base64url(payload["salt"])
    if len(salt) != 32:
        raise Refused("malformed-credential")
    return value["challenge"], payload, decode_base64url(payload["payment"]), salt


def parse_request(text):
    """The JSON of a challenge's `request`."""
    request = parse_json(text)
    check_fields(request, REQUEST_FIELDS, {})
    check_fields(request["methodDetails"], DETAIL_FIELDS, OPTIONAL_DETAILS)
    return request


def parse_payload(text):
    """The JSON of a credential's `payload`: paying or reading again, never both."""
    payload = parse_json(text)
    check_fields(payload, {"reread": str} if isinstance(payload, dict) and "reread" in payload else {"payment": str, "salt": str}, {})
    return payload
