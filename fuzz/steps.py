"""Writes inputs of the targets that take steps: the bytes from which the crate arbitrary makes exactly these.

The types are read from the Rust sources, so that a seed is written as the step it means and cannot drift from it:

    encode(types, "Step", ("Deposit", {"publisher": True, "payments": 6, "twice": False, "fault": "Lost"}))

What is left out is zero, false, or the first variant.
"""

import re

INTEGERS = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "u64": 8}


def split(text):
    """The parts between commas that are in no bracket."""
    parts, depth, part = [], 0, ""
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    return [one for one in [*parts, part.strip()] if one]


def fields(text):
    """Names and types of fields; names are numbers where there are none."""
    found = {}
    for number, part in enumerate(split(text)):
        name, colon, kind = part.partition(":")
        found[name.removeprefix("pub ").strip() if colon else number] = (kind if colon else name).strip()
    return found


def types(*sources):
    """The enums and structs that derive Arbitrary: of an enum its variants with their fields, of a struct its fields."""
    found = {}
    for source in sources:
        text = re.sub(r"//[^\n]*", "", source.read_text(encoding="utf-8"))
        for head in re.finditer(r"#\[derive\(Arbitrary[^\]]*\]\s*(?:pub )?(enum|struct) (\w+) \{", text):
            end, depth = head.end(), 1
            while depth:
                depth += (text[end] == "{") - (text[end] == "}")
                end += 1
            body = text[head.end() : end - 1]
            if head.group(1) == "struct":
                found[head.group(2)] = fields(body)
                continue
            variants = []
            for variant in split(body):
                variant = re.sub(r"#\[[^\]]*\]", "", variant).strip()
                name, inside = re.fullmatch(r"(\w+)\s*(?:[({](.*)[)}])?", variant, re.DOTALL).groups()
                variants.append((name, fields(inside or "")))
            found[head.group(2)] = variants
    return found


def encode(known, kind, value=None):
    """The bytes of a value of this type."""
    if kind == "bool":
        return bytes([bool(value)])
    if kind in INTEGERS:
        return (value or 0).to_bytes(INTEGERS[kind], "little", signed=kind.startswith("i"))
    if array := re.fullmatch(r"\[(\w+); (\d+)\]", kind):
        values = [*(value or []), *[None] * int(array.group(2))][: int(array.group(2))]
        return b"".join(encode(known, array.group(1), one) for one in values)
    if tuple_ := re.fullmatch(r"\((.*)\)", kind, re.DOTALL):
        parts = split(tuple_.group(1))
        return b"".join(encode(known, part, one) for part, one in zip(parts, [*(value or []), *[None] * len(parts)], strict=False))
    if list_ := re.fullmatch(r"Vec<(.*)>", kind):
        return b"".join(b"\1" + encode(known, list_.group(1), one) for one in value or []) + b"\0"
    shape = known[kind]
    if isinstance(shape, dict):
        return record(known, shape, value or {})
    name, inside = value if isinstance(value, tuple) else (value or shape[0][0], {})
    number = [variant for variant, _ in shape].index(name)
    # The smallest number that falls to this variant.
    choice = -(-(number << 32) // len(shape))
    return choice.to_bytes(4, "little") + record(known, shape[number][1], inside)


def record(known, shape, values):
    """The fields in order."""
    unknown = set(values) - set(shape)
    if unknown:
        raise ValueError(f"no such fields: {unknown}")
    return b"".join(encode(known, kind, values.get(name)) for name, kind in shape.items())
