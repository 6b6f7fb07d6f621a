#!/usr/bin/env python3
"""Which lines the corpora reach, by source file of protocol, mint, verifier and wallet.

    python3 fuzz/coverage.py            all targets together, as fuzz/smoke.sh has built them
    python3 fuzz/coverage.py TARGET ..

The fuzzer's own counters are read: one for each block of code that the compiler has left standing. A line counts if a block begins on it,
and is reached if one of them is. BINARIES and CORPORA may name other directories. Needs llvm-symbolizer.
"""

import collections
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ("protocol", "mint", "verifier", "wallet")


def sections(elf):
    """Address, offset in the file, and size of every section of a 64-bit little-endian program."""
    (start,), (width, count, names) = struct.unpack_from("<Q", elf, 40), struct.unpack_from("<HHH", elf, 58)
    heads = [struct.unpack_from("<IIQQQQ", elf, start + width * number) for number in range(count)]
    text = heads[names][4]
    return {elf[text + head[0]:elf.index(b"\0", text + head[0])].decode(): (head[3], head[4], head[5]) for head in heads}


def blocks(elf):
    """The address of every counted block, in the order in which they are numbered."""
    found = sections(elf)
    address, offset, size = found["__sancov_pcs"]
    table = {address + place: struct.unpack_from("<Q", elf, offset + place)[0] for place in range(0, size, 16)}
    rela, length = found[".rela.dyn"][1:]
    for place, _, addend in struct.iter_unpack("<QQQ", elf[rela:rela + length]):
        if place in table:
            table[place] = addend
    return list(table.values())


def reached(binary, corpus):
    """The numbers of the blocks that the inputs of a corpus reach: what the fuzzer notes when it merges them."""
    with tempfile.TemporaryDirectory() as directory:
        notes = pathlib.Path(directory) / "notes"
        (notes.parent / "kept").mkdir()
        command = [binary, "-merge=1", f"-merge_control_file={notes}", notes.parent / "kept", corpus, "-timeout=600", "-rss_limit_mb=4096"]
        subprocess.run(command, capture_output=True, check=True, cwd=directory)
        found = re.findall("^COV [0-9]+ (.*)$", notes.read_text(encoding="utf-8"), re.M)
    return {int(number) for line in found for number in line.split()}


def lines(binary, all_blocks):
    """The source line of every block that is ours."""
    command = ["llvm-symbolizer", f"--obj={binary}", "--no-inlines", "--functions=none", "--output-style=GNU"]
    told = subprocess.run(command, input="".join(f"{block:#x}\n" for block in all_blocks), capture_output=True, text=True, check=True).stdout
    ours = re.compile(r"(?:^|.*/)((?:%s)/src/[^:]*\.rs):(\d+)" % "|".join(PARTS))
    for number, line in enumerate(told.split("\n")):
        match = ours.match(line)
        if match and "/.cargo/" not in line and int(match.group(2)):
            yield number, (match.group(1), int(match.group(2)))


def main():
    targets = sys.argv[1:] or re.findall(r'path = "fuzz_targets/(.*)\.rs"', (HERE / "Cargo.toml").read_text(encoding="utf-8"))
    corpora = pathlib.Path(os.environ.get("CORPORA", HERE / "corpus")).resolve()
    host = re.search("^host: (.*)$", subprocess.run(["rustc", "+nightly", "-vV"], capture_output=True, text=True, check=True).stdout, re.M).group(1)
    binaries = pathlib.Path(os.environ.get("BINARIES") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / host / "release").resolve()
    every, hit = collections.defaultdict(set), collections.defaultdict(set)
    for target in targets:
        binary = binaries / target
        all_blocks, seen = blocks(binary.read_bytes()), reached(binary, corpora / target)
        for number, (file, line) in lines(binary, all_blocks):
            every[file].add(line)
            if number in seen:
                hit[file].add(line)
        print(f"{target}: {len(seen)} of {len(all_blocks)} blocks", file=sys.stderr, flush=True)
    for part in PARTS:
        files = sorted(file for file in every if file.startswith(part + "/"))
        for file in files:
            missed = sorted(every[file] - hit[file])
            print(f"| `{file}` | {len(hit[file])} of {len(every[file])} | {' '.join(map(str, missed))} |")
        total = sum(len(every[file]) for file in files)
        print(f"| **{part}** | {sum(len(hit[file]) for file in files)} of {total} | |")


if __name__ == "__main__":
    main()
