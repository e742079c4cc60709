#!/usr/bin/env python3
"""Runs the benchmarks of the README and prints its table.

Each benchmark runs Weft and the named peer in turn on the same data in one go and reports the
ratio of the medians, so that a slow or busy machine does not decide.
Usage: bench/run.py --weft PATH [--peer-bench PATH] [--only NAME]… [--scratch DIR] [--json FILE]
"""

import argparse
import json
import platform
import shutil
import tempfile

import cases
from harness import Bench


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", required=True, help="the optimised executable")
    parser.add_argument("--peer-bench", default=".build/release/peer-bench",
                        help="the program of bench/peer")
    parser.add_argument("--only", action="append", choices=list(cases.ALL), help="just these")
    parser.add_argument("--scratch", help="where to put some 40 GB of data for a while")
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()

    scratch = tempfile.mkdtemp(prefix="weft-bench-", dir=options.scratch)
    bench = Bench(options.weft, options.peer_bench, scratch)
    try:
        for name in options.only or cases.ALL:
            cases.ALL[name](bench)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

    print(f"\n{platform.machine()}, {bench.run(['--version'])}\n")
    print("| work | against | measured | target |")
    print("|---|---|---|---|")
    for row in bench.rows:
        sign = "≤" if row["better"] == "low" else "≥"
        print(f"| {row['work']} | {row['against']} | {row['ratio']:.2f} | {sign} {row['target']} |")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(bench.rows, file, indent=1)


if __name__ == "__main__":
    main()
