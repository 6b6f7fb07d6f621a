#!/usr/bin/env python3
"""Checks spec/requirements.md: every rule has code and a test, and both exist in the tree; so do those security.md names.
Every code the services answer is described.

    | R-AREA-01 | the rule | `path::item`, .. | `path::test`, `spec/vectors/negative/x.json#case`, .. |

An item is a function, type, constant or `Type::method`; a test a function with a test attribute, or one that a test runs (conformance
suites). An id that code or a page names without being listed is an error too.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
ID = re.compile(r"\bR-[A-Z]+-\d\d\b")
ROW = re.compile(r"^\| (R-[A-Z]+-\d\d) \| (.+?) \| (.*?) \| (.*?) \|$")
SOURCES = {".rs", ".py", ".md", ".toml", ".sql", ".sh"}


def text_of(path):
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None


def item_exists(reference):
    """`path::item` or `path::Type::member`, or a bare path."""
    path, _, item = reference.partition("::")
    text = text_of(path)
    if text is None:
        return False
    if not item:
        return True
    *types, last = item.split("::")
    defined = re.compile(rf"\b(fn|struct|enum|trait|const|static|type|mod|def|class)\s+{last}\b|^\s*{last}\s*(=|,|\{{|\()|\bmacro_rules!\s+{last}\b", re.M)
    return bool(defined.search(text)) and all(re.search(rf"\b{name}\b", text) for name in types)


def test_exists(reference):
    if "#" in reference:
        path, _, name = reference.partition("#")
        text = text_of(path)
        return text is not None and any(case["name"] == name for case in json.loads(text)["cases"])
    path, _, name = reference.partition("::")
    text = text_of(path)
    if text is None or not name:
        return False
    found = re.search(rf"((?:^\s*(?:#\[[^\n]*\]|///[^\n]*|//[^\n]*)\n)*)^\s*(?:pub(?:\([^)]*\))? )?(?:async )?fn {name}\b", text, re.M)
    if not found:
        return False
    # A member of a conformance suite is run by another function, or stands inside a macro that makes tests.
    return "test" in found.group(1) or "conformance" in path or "macro_rules! on_both" in text or "proptest!" in text


def references(cell):
    return re.findall(r"`([^`]+)`", cell)


def main():
    errors, listed = [], {}
    for number, line in enumerate((ROOT / "spec/requirements.md").read_text(encoding="utf-8").splitlines(), 1):
        row = ROW.match(line)
        if not row:
            if line.startswith("| R-"):
                errors.append(f"line {number}: not a row of four columns")
            continue
        id_, _, code, tests = row.groups()
        if id_ in listed:
            errors.append(f"{id_}: listed twice")
        listed[id_] = line
        if not references(code):
            errors.append(f"{id_}: no code")
        if not references(tests):
            errors.append(f"{id_}: no test")
        errors += [f"{id_}: no {reference} in the tree" for reference in references(code) if not item_exists(reference)]
        errors += [f"{id_}: no test {reference}" for reference in references(tests) if not test_exists(reference)]
    described = (ROOT / "spec/http.md").read_text(encoding="utf-8") + (ROOT / "spec/errors.md").read_text(encoding="utf-8")
    for path in ("mint/src/http/problem.rs", "mint/src/admin/problem.rs", "mint/src/shop/mod.rs", "mint/src/shop/event.rs",
                 "verifier/src/check.rs", "verifier/src/error.rs", "verifier/src/verifier.rs"):
        for code in set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', text_of(path) or "")):
            if f"`{code}`" not in described:
                errors.append(f"{path} answers {code}, which neither http.md nor errors.md describes")
    page = (ROOT / "spec/security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:protocol|mint|verifier|wallet)/[\w./]+\.rs::[\w:]+)`", page))
    errors += [f"security.md: no {reference} in the tree" for reference in sorted(named)
               if not (test_exists(reference) if "/tests/" in reference else item_exists(reference))]
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix not in SOURCES or "target" in parts or any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        for id_ in set(ID.findall(path.read_text(encoding="utf-8", errors="replace"))) - set(listed):
            if path.name not in ("requirements.py",):
                errors.append(f"{'/'.join(parts)} names {id_}, which is not listed")
    for error in errors:
        print(error)
    print(f"{len(listed)} requirements, {len(errors)} errors")
    return 1 if errors or not listed else 0


if __name__ == "__main__":
    sys.exit(main())
