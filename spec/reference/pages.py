"""The examples in the pages: blocks that are written from the vectors and checked against them.

A page holds a line such as

    <!-- example payment.json one-token: amount, payment_id, frame -->

followed by a fenced block. Each name is a field of the case's `output`, else of its `input`; `name[3]` takes an item of a list,
`name=label` shows it under another name. Long hex is wrapped.
"""

import pathlib
import re

PAGES = pathlib.Path(__file__).parent.parent
MARKER = re.compile(r"<!-- example (\S+) (\S+): ((?:(?!-->).)*?) -->\n+```text\n(.*?)```\n", re.S)
WIDTH = 96


def render(case, names):
    """The text of one block."""
    shown = []
    for name in names:
        name, _, label = name.partition("=")
        field, index = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", name).groups()
        value = case["output"].get(field, case["input"].get(field))
        assert value is not None, (case["name"], name)
        value = value[int(index)] if index else value
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)
        shown.append((label or name.replace("_", " "), text))
    width = max(len(label) for label, _ in shown)
    lines = []
    for label, value in shown:
        pieces = [value[i:i + WIDTH] for i in range(0, len(value), WIDTH)]
        lines.append(f"{label:{width}}  {pieces[0]}")
        lines += [f"{'':{width}}  {piece}" for piece in pieces[1:]]
    return "\n".join(lines) + "\n"


def renew(page, files):
    """The page with every block written anew; how many blocks it has."""
    count = 0

    def block(match):
        nonlocal count
        count += 1
        file_name, case_name, names, _ = match.groups()
        case = next(case for case in files[file_name]["cases"] if case["name"] == case_name)
        text = render(case, [name.strip() for name in names.replace("\n", " ").split(",")])
        return f"<!-- example {file_name} {case_name}: {names} -->\n```text\n{text}```\n"

    text = MARKER.sub(block, page.read_text(encoding="utf-8"))
    return text, count


def all_pages():
    return sorted(PAGES.glob("*.md"))
