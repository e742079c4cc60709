"""Calls between peers on loopback: a tiny contract asked of a peer, and a map-reduce spread over
eight peers."""

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

from harness import median

# (module (import "weft" "write" (func (param i32 i32))) (memory (export "memory") 1)
#   (data (i32.const 0) "hello") (func (export "index") (call 0 (i32.const 0) (i32.const 5))))
TINY = bytes.fromhex(
    "0061736d01000000" "01090260027f7f00600000" "020e01047765667405777269746500 00".replace(" ", "")
    + "03020101" "0503010001" "071202066d656d6f7279020005696e6465780001"
    "0a0a0108004100410510000b" "0b0b010041000b0568656c6c6f")

WORDS = ["whale", "ship", "sea", "captain", "the", "and", "of", "harpoon", "a", "in"]


def program(bench):
    return str(Path(bench.peer_bench).parent / "calls-bench")


class Served:
    """A process of the bench program that serves calls: its address and what it added."""

    def __init__(self, bench, name, slots, files, prefix=(), warm=()):
        self.process = subprocess.Popen(
            [*prefix, program(bench), "serve", str(bench.scratch / name), str(slots),
             *map(str, files), *warm],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address, *self.cids = self.process.stdout.readline().split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)


def remote_call(bench):
    """A tiny contract on a peer, against a ping on the same connection; and 64 calls at a time."""
    module = bench.scratch / "tiny.wasm"
    module.write_bytes(TINY)
    ratios, rates, details = [], [], []
    for round in range(3):
        with Served(bench, f"responder-{round}", 0, [module]) as peer:
            out = subprocess.run(
                [program(bench), "remote", str(bench.scratch / f"asker-{round}"), peer.address,
                 f"weft://{peer.cids[0]}/index", "20000"],
                check=True, stdout=subprocess.PIPE, text=True).stdout
        figures = {name: float(value) for name, value in re.findall(r"(\w+): ([0-9.e+]+)", out)}
        ratios.append(figures["call"] / figures["ping"])
        rates.append(figures["pipelined"])
        details.append(f"{figures['call']:.0f} µs, ping {figures['ping']:.0f} µs")
    bench.row("remote call, tiny contract, median", "a ping on the same connection",
              median(ratios), 1.5, "low", "; ".join(details))
    bench.row("remote calls, 64 at a time, thousands a second", "–", median(rates) / 1000, 20,
              "high", ", ".join(f"{rate:.0f}/s" for rate in rates))


def text(path, size, seed):
    """Writes words in an order that looks like chance."""
    state = seed
    with open(path, "w") as out:
        while out.tell() < size:
            words = []
            for _ in range(2000):
                state = (state * 1103515245 + 12345) % (1 << 31)
                words.append(WORDS[(state >> 16) % len(WORDS)])
            out.write(" ".join(words) + "\n")
    return path


def spread(bench, name, peers, prefix=()):
    """Seconds of counting words here and on so many peers, each of which runs one call at a time."""
    contract = Path(".build/contracts/wordcount.wasm").resolve()
    files = [contract, text(bench.scratch / "words", 32 << 20, 1),
             text(bench.scratch / "few", 2 << 20, 2)]
    with ExitStack() as stack:
        # What is measured is the work, not how long the contract takes to compile on each node.
        served = [stack.enter_context(
            Served(bench, f"{name}-{index}", 1, files, warm=["--", "count?of="]))
            for index in range(peers)]
        cids = served[0].cids if served else None
        if not cids:
            with Served(bench, f"{name}-names", 1, files) as names:
                cids = names.cids
        module, words, few = cids
        url = f"weft://{module}/count?of={{}}"
        out = subprocess.run(
            [*prefix, program(bench), "spread", str(bench.scratch / name), "1", url.format(words),
             url.format(few), *map(str, files), "--", *(peer.address for peer in served)],
            check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(re.search(r"spread: ([0-9.e+-]+)", out)[1])


def map_reduce(bench):
    """The word count over 64 calls: eight nodes on two cores against one node on one of them. Ideal
    is twice as fast."""
    subprocess.run(["Scripts/build-contracts", "wordcount"], check=True,
                   stdout=subprocess.DEVNULL)
    one, eight = [], []
    for round in range(3):
        one.append(spread(bench, f"one-{round}", 0, ["taskset", "-c", "0"]))
        eight.append(spread(bench, f"eight-{round}", 7))
    bench.row("map-reduce over 8 peers on 2 cores, speed", "one node on one core, ideal 2",
              median(one) / median(eight) / 2, 0.8, "high",
              f"{median(one):.2f} s alone, {median(eight):.2f} s together")


ALL = {"remote-call": remote_call, "map-reduce": map_reduce}
