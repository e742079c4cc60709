"""The benchmarks of contracts: each takes a `Bench`, measures and records rows of the table."""

import math
import shutil
import subprocess
from pathlib import Path

ENGINE = ".build/release/engine-bench"
PROGRAMS = 12


def lines(command):
    """The words of each line that a command prints."""
    out = subprocess.run([str(part) for part in command], check=True, timeout=900,
                         stdout=subprocess.PIPE, text=True).stdout
    return [line.split() for line in out.splitlines()]


def mean(ratios):
    """The geometric mean."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def programs(bench):
    """Twelve programs as contracts, against the same modules in Wasmtime alone, and in Wasmtime
    that counts fuel and makes NaNs canonical; the least time of rounds in turn."""
    subprocess.run(["bench/build-programs"], check=True, stdout=subprocess.DEVNULL)
    modules = sorted(Path(".build/contracts/programs").glob("*.wasm"))
    if len(modules) != PROGRAMS:
        raise RuntimeError(f"{len(modules)} programs")
    rows = [(name, float(bare), float(metered), float(contract))
            for name, bare, metered, contract, _, _ in lines([ENGINE, "programs", 25, *modules])]
    ratios = {name: contract / bare for name, bare, _, contract in rows}
    slowest = max(ratios, key=ratios.get)
    detail = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    bench.row("12 programs as contracts, time, geometric mean", "the same modules in Wasmtime",
              mean(ratios.values()), 1.2, "low", detail)
    bench.row(f"the slowest of them ({slowest})", "the same modules in Wasmtime", ratios[slowest],
              1.6, "low", detail)
    fuel = {name: contract / metered for name, _, metered, contract in rows}
    bench.row("12 programs as contracts, time, geometric mean",
              "Wasmtime with its fuel and canonical NaNs", mean(fuel.values()), 1, "low",
              ", ".join(f"{name} {ratio:.2f}" for name, ratio in fuel.items()))


def calls(bench):
    """Calls by `fetch` of a node that runs them itself: new ones of a tiny contract, each with its
    record; known ones; and the first of a contract of 1 MiB that is in the node's store."""
    subprocess.run(["bench/build-programs", "sql"], check=True, stdout=subprocess.DEVNULL)
    repo = bench.scratch / "calls"
    figures = {name: float(value) for name, value in lines(
        [ENGINE, "node", repo, ".build/contracts/tiny.wasm", ".build/contracts/programs/sql.wasm"])}
    shutil.rmtree(repo)
    bench.row("call of a warm tiny contract, median, µs", "–", figures["new"], 30, "low",
              "a new call each time, with its record kept")
    bench.row("calls of a warm tiny contract, each second", "–", figures["each-second"], 100_000,
              "high", "64 at a time")
    bench.row("known call, median, µs", "–", figures["known"], 10, "low", "answered from memory")
    bench.row("first call of a contract of 1 MiB", "Wasmtime compiling the module",
              figures["cold"] / figures["compile"], 1.3, "low",
              ", ".join(f"{name} {figures[name]:.0f} ms"
                        for name in ["cold", "compile", "instrument", "compile-instrumented"]))


ALL = {
    "contracts": programs,
    "calls": calls,
}
