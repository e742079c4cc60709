"""Does with Wasmtime what conformance.mjs does with V8: runs one file of WebAssembly's own test suite,
as `wast2json` splits it, on instrumented modules, and prints the same report.

Usage: conformance.py FILE.json

Values cross by way of memory here too, so that no bit of a NaN is lost, and vectors can.
"""

import json
import struct
import sys
from pathlib import Path

import wasmtime

FILE = Path(sys.argv[1])
GAS = 1 << 40
STACK = 256 << 10
SIZES = {"i32": 4, "i64": 8, "f32": 4, "f64": 8, "v128": 16}
NUMBERS = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C, "v128": 0x7B}
LOADS = {"i32": [0x28, 2], "i64": [0x29, 3], "f32": [0x2A, 2], "f64": [0x2B, 3], "v128": [0xFD, 0, 4]}
STORES = {"i32": [0x36, 2], "i64": [0x37, 3], "f32": [0x38, 2], "f64": [0x39, 3], "v128": [0xFD, 11, 4]}
CANONICAL = {4: bytes.fromhex("0000c07f"), 8: bytes.fromhex("000000000000f87f")}
FAILURES = (wasmtime.Trap, wasmtime.WasmtimeError)


class Refused(Exception):
    """A module is none, or none that contracts can be."""


def engine():
    """The engine with no more than the rules allow, as the node sets it."""
    config = wasmtime.Config()
    for feature in ("threads", "tail_call", "memory64", "multi_memory", "relaxed_simd", "exceptions",
                    "gc", "function_references", "wide_arithmetic", "custom_page_sizes",
                    "stack_switching", "component_model"):
        setattr(config, f"wasm_{feature}", False)
    config.max_wasm_stack = 2 << 20
    return wasmtime.Engine(config)


ENGINE = engine()
STORE = wasmtime.Store(ENGINE)
LINKER = wasmtime.Linker(ENGINE)
LINKER.allow_shadowing = True


def define_spectest():
    """The module that every script may import from."""
    value = wasmtime.ValType
    kinds = {"i32": value.i32(), "i64": value.i64(), "f32": value.f32(), "f64": value.f64()}
    for name in ("print", "print_i32", "print_i64", "print_f32", "print_f64", "print_i32_f32",
                 "print_f64_f64"):
        parameters = [kinds[word] for word in name.split("_")[1:]]
        LINKER.define_func("spectest", name, wasmtime.FuncType(parameters, []), lambda *_: None)
    for name, number in (("i32", 666), ("i64", 666), ("f32", 666.6), ("f64", 666.6)):
        kind = wasmtime.GlobalType(kinds[name], False)
        LINKER.define(STORE, "spectest", f"global_{name}", wasmtime.Global(STORE, kind, number))
    table = wasmtime.TableType(value.funcref(), wasmtime.Limits(10, 20))
    LINKER.define(STORE, "spectest", "table", wasmtime.Table(STORE, table, None))
    memory = wasmtime.MemoryType(wasmtime.Limits(1, 2))
    LINKER.define(STORE, "spectest", "memory", wasmtime.Memory(STORE, memory))


def load(name):
    """The bytes of an instrumented module."""
    path = FILE.parent / name
    refusal = path.with_suffix(".refused")
    if refusal.exists():
        raise Refused(refusal.read_text())
    return path.with_suffix(".instrumented.wasm").read_bytes()


def instantiate(name):
    """An instance that has been started."""
    instance = LINKER.instantiate(STORE, wasmtime.Module(ENGINE, load(name)))
    exports = instance.exports(STORE)
    refill(exports)
    if "weft:start" in exports:
        exports["weft:start"](STORE)
    return instance


def refill(exports):
    """Gives an instance gas and stack."""
    if "weft:gas" not in exports:
        return
    exports["weft:gas"].set_value(STORE, GAS)
    exports["weft:stack"].set_value(STORE, STACK)
    exports["weft:status"].set_value(STORE, 0)


def status(instances):
    """The first status that is not 0."""
    values = (item["weft:status"].value(STORE) for item in instances if "weft:status" in item)
    return next((value for value in values if value != 0), 0)


def bytes_of(constant):
    """A constant as it lies in memory."""
    def part(size, text):
        number = 0 if text.startswith("nan") else int(text)
        return (number & ((1 << (8 * size)) - 1)).to_bytes(size, "little")

    if constant["type"] == "v128":
        size = int(constant["lane_type"][1:]) // 8
        return b"".join(part(size, text) for text in constant["value"])
    return part(SIZES[constant["type"]], constant["value"])


def unsigned(value):
    """A number as LEB128."""
    out = []
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return out + [value]


def signed(value):
    """A small number that is not negative, as signed LEB128."""
    return [value] if value < 64 else [value & 127 | 128] + signed(value >> 7)


def listed(items):
    """A list of lists of bytes, with its count."""
    return unsigned(len(items)) + [byte for item in items for byte in item]


def section(number, content):
    """A section of a module."""
    return [number] + unsigned(len(content)) + content


CALLERS = {}


def caller(args, results):
    """A module that calls a function with what lies in its memory, and puts there what it gives."""
    if (args, results) in CALLERS:
        return CALLERS[args, results]
    code = []
    for index, kind in enumerate(args):
        code += [0x41] + signed(16 * index) + LOADS[kind] + [0]
    code += [0x10, 0]
    for index in range(len(results)):
        code += [0x21] + unsigned(len(results) - 1 - index)
    for index, kind in enumerate(results):
        code += [0x41] + signed(1024 + 16 * index) + [0x20] + unsigned(index) + STORES[kind] + [0]
    body = listed([[1, NUMBERS[kind]] for kind in results]) + code + [0x0B]
    kind = [0x60] + listed([[NUMBERS[kind]] for kind in args]) \
        + listed([[NUMBERS[kind]] for kind in results])
    module = [0, 0x61, 0x73, 0x6D, 1, 0, 0, 0] + section(1, listed([kind, [0x60, 0, 0]])) \
        + section(2, [1, 1, 0x61, 1, 0x66, 0, 0]) + section(3, [1, 1]) + section(5, [1, 0, 1]) \
        + section(7, [2, 1, 0x72, 0, 1, 1, 0x6D, 2, 0]) \
        + section(10, listed([unsigned(len(body)) + body]))
    CALLERS[args, results] = wasmtime.Module(ENGINE, bytes(module))
    return CALLERS[args, results]


def call_by_memory(function, args, expected):
    """Calls a function with constants; gives its results as bytes."""
    module = caller(tuple(arg["type"] for arg in args), tuple(item["type"] for item in expected))
    exports = wasmtime.Instance(STORE, module, [function]).exports(STORE)
    memory = exports["m"]
    for index, arg in enumerate(args):
        memory.write(STORE, bytes_of(arg), 16 * index)
    exports["r"](STORE)
    return [bytes(memory.read(STORE, 1024 + 16 * index, 1024 + 16 * index + SIZES[item["type"]]))
            for index, item in enumerate(expected)]


def reference(constant):
    """A constant as Python has it."""
    kind, value = constant["type"], constant["value"]
    if kind.endswith("ref"):
        return None if value == "null" or kind == "funcref" else f"host {value}"
    number = int(value)
    bits = 8 * SIZES[kind]
    return number - (1 << bits) if number >> (bits - 1) else number


class Script:
    """A script that is being run."""

    def __init__(self):
        self.instances = []
        self.named = {}
        self.current = None
        self.passed = 0
        self.refused = 0
        self.failed = []

    def perform(self, action, expected):
        """Does an action; gives each result as bytes, or as Python has it."""
        for exports in self.instances:
            refill(exports)
        instance = self.named[action["module"]] if "module" in action else self.current
        item = instance.exports(STORE)[action["field"]]
        if action["type"] == "get":
            return [item.value(STORE)]
        types = [value["type"] for value in action["args"] + expected]
        if not any(kind.endswith("ref") for kind in types):
            return call_by_memory(item, action["args"], expected)
        value = item(STORE, *map(reference, action["args"]))
        return [] if not expected else [value] if len(expected) == 1 else value

    def fails(self, work, expected):
        """Has something fail, and looks at the status that it leaves."""
        try:
            work()
        except FAILURES:
            if expected is not None and status(self.instances) != expected:
                raise AssertionError(f"the status is {status(self.instances)}") from None
            return
        raise AssertionError("it went well")

    def run(self, command):
        """Carries out one command."""
        kind = command["type"]
        if kind == "module":
            self.current = None
            self.current = instantiate(command["filename"])
            self.instances.append(self.current.exports(STORE))
            if "name" in command:
                self.named[command["name"]] = self.current
        elif kind == "register":
            instance = self.named[command["name"]] if "name" in command else self.current
            LINKER.define_instance(STORE, command["as"], instance)
        elif kind == "action":
            self.perform(command["action"], command["expected"])
        elif kind == "assert_return":
            field = command["action"]["field"]
            is_bitwise = any(word in field for word in ("neg", "abs", "copysign"))
            actual = self.perform(command["action"], command["expected"])
            for index, expected in enumerate(command["expected"]):
                if not matches(actual[index], expected, is_bitwise):
                    raise AssertionError(f"result {index} is {actual[index]}")
        elif kind == "assert_trap":
            self.fails(lambda: self.perform(command["action"], []), 0)
        elif kind == "assert_exhaustion":
            self.fails(lambda: self.perform(command["action"], command["expected"]), 2)
        elif kind in ("assert_invalid", "assert_malformed"):
            load(command["filename"])
            raise AssertionError("it was taken")
        elif kind in ("assert_unlinkable", "assert_uninstantiable"):
            self.fails(lambda: instantiate(command["filename"]), None)
        else:
            raise AssertionError(f"unknown command {kind}")

    def step(self, command):
        """Carries out one command, and counts how it went."""
        try:
            self.run(command)
            self.passed += 1
        except Refused:
            if command["type"] in ("assert_invalid", "assert_malformed"):
                self.passed += 1
            else:
                self.refused += 1
        except Exception as error:  # Whatever it is, the report says it.
            # Without its module, nothing can be asked of it.
            if self.current is None and command["type"] != "module":
                self.refused += 1
            else:
                self.failed.append(f"{command['line']}: {command['type']}: {error}")


def matches(actual, expected, is_bitwise):
    """Whether a result is the expected one. A NaN that arithmetic made must be the canonical one."""
    kind, value = expected["type"], expected["value"]
    if kind == "externref":
        return actual == reference(expected)
    if kind == "funcref":
        return actual is None or value != "null"
    if not isinstance(actual, bytes):
        form = {"i32": "<i", "i64": "<q", "f32": "<f", "f64": "<d"}[kind]
        return struct.pack(form, actual) == bytes_of(expected)
    lanes = value if kind == "v128" else [value]
    size = int((expected["lane_type"] if kind == "v128" else kind)[1:]) // 8
    wanted = bytes_of(expected)
    for index, lane in enumerate(lanes):
        part = actual[index * size:(index + 1) * size]
        other = wanted[index * size:(index + 1) * size]
        if lane.startswith("nan:"):
            other = CANONICAL[size]
            # Negating the canonical NaN is no arithmetic: it sets a bit.
            if is_bitwise:
                part = part[:-1] + bytes([part[-1] & 0x7F])
        if part != other:
            return False
    return True


def main():
    define_spectest()
    script = Script()
    for command in json.loads(FILE.read_text())["commands"]:
        if command.get("module_type") != "text":
            script.step(command)
    print(json.dumps({"passed": script.passed, "refused": script.refused, "failed": script.failed}))


main()
