"""Checks the vector files against spec/vectors/schema.json: a small part of JSON Schema, enough for these files."""

import re

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}


def problems(schema, value, root=None, at="$"):
    """Every place where `value` is not what `schema` says."""
    root = root or schema
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return problems(target, value, root, at)
    if "oneOf" in schema:
        results = [problems(option, value, root, at) for option in schema["oneOf"]]
        return [] if sum(not r for r in results) == 1 else [f"{at}: not exactly one of the alternatives"]
    if "type" in schema and (not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool)):
        return [f"{at}: not of type {schema['type']}"]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is not permitted")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: does not match {schema['pattern']}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        found += [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += problems(properties[name], item, root, f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{at}: {name} is unknown")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            found += problems(schema["items"], item, root, f"{at}[{number}]")
        if len(value) < schema.get("minItems", 0):
            found.append(f"{at}: too few items")
    return found
