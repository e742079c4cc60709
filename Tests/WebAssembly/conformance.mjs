// Runs one file of WebAssembly's own test suite, as `wast2json` of wabt splits it, on instrumented
// modules. Beside NAME.wasm lies NAME.instrumented.wasm, or NAME.refused with the reason.
// Usage: node conformance.mjs FILE.json, which prints {"passed":…, "refused":…, "failed":[…]}
//
// Values cross by way of memory, written and read by small modules made here: JavaScript would
// change the bits of a NaN, and knows no vectors.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const file = process.argv[2];
const script = JSON.parse(readFileSync(file));
const gasLimit = 1n << 40n;
const result = { passed: 0, refused: 0, failed: [] };

const print = () => {};
const spectest = {
    print, print_i32: print, print_i64: print, print_f32: print, print_f64: print,
    print_i32_f32: print, print_f64_f64: print,
    global_i32: new WebAssembly.Global({ value: 'i32' }, 666),
    global_i64: new WebAssembly.Global({ value: 'i64' }, 666n),
    global_f32: new WebAssembly.Global({ value: 'f32' }, 666.6),
    global_f64: new WebAssembly.Global({ value: 'f64' }, 666.6),
    table: new WebAssembly.Table({ initial: 10, maximum: 20, element: 'anyfunc' }),
    memory: new WebAssembly.Memory({ initial: 1, maximum: 2 }),
};
const registered = { spectest };
const named = {};
let current;

const numbers = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const sizes = { i32: 4, i64: 8, f32: 4, f64: 8, v128: 16 };
const hosts = new Map();
const host = (value) => hosts.get(value) ?? hosts.set(value, { value }).get(value);

/// Why a module that must not be one was refused; fails if it was taken.
class Refused extends Error {}

function load(name) {
    const path = join(dirname(file), name).replace(/\.wasm$/, '');
    if (existsSync(path + '.refused')) throw new Refused(readFileSync(path + '.refused'));
    return readFileSync(path + '.instrumented.wasm');
}

function instantiate(name) {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(load(name)), registered);
    refill(instance);
    instance.exports['weft:start']?.();
    return instance;
}

function refill(instance) {
    if (!instance?.exports['weft:gas']) return;
    instance.exports['weft:gas'].value = gasLimit;
    instance.exports['weft:stack'].value = 256 << 10;
    instance.exports['weft:status'].value = 0;
}

// All instances get gas before each action: what one calls may belong to another.
const instances = [];

/// The bytes of a constant as it lies in memory.
function bytesOf({ type, value, lane_type: lane }) {
    const view = new DataView(new ArrayBuffer(16));
    const put = (offset, bits, text) => {
        const number = text.startsWith('nan') ? 0n : BigInt(text);
        if (bits === 8) view.setUint8(offset, Number(BigInt.asUintN(8, number)));
        else if (bits === 16) view.setUint16(offset, Number(BigInt.asUintN(16, number)), true);
        else if (bits === 32) view.setUint32(offset, Number(BigInt.asUintN(32, number)), true);
        else view.setBigUint64(offset, BigInt.asUintN(64, number), true);
    };
    if (type === 'v128') {
        const bits = Number(lane.slice(1));
        value.forEach((text, index) => put(index * bits / 8, bits, text));
    } else {
        put(0, 8 * sizes[type], value);
    }
    return new Uint8Array(view.buffer, 0, sizes[type]);
}

const leb = (value) => {
    const out = [];
    do {
        out.push(value > 127 ? value & 127 | 128 : value);
        value >>>= 7;
    } while (value > 0);
    return out;
};
const list = (items) => [...leb(items.length), ...items.flat()];
const part = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
const loads = { i32: [0x28, 2], i64: [0x29, 3], f32: [0x2a, 2], f64: [0x2b, 3], v128: [0xfd, 0, 4] };
const stores = { i32: [0x36, 2], i64: [0x37, 3], f32: [0x38, 2], f64: [0x39, 3], v128: [0xfd, 11, 4] };

/// Calls a function with constants; gives its results as bytes.
function callByMemory(callee, args, results) {
    const code = [];
    args.forEach(({ type }, index) => code.push(0x41, ...leb2(16 * index), ...loads[type], 0));
    code.push(0x10, 0);
    const locals = results.map(({ type }) => [1, numbers[type]]);
    results.forEach((_, index) => code.push(0x21, ...leb(results.length - 1 - index)));
    results.forEach(({ type }, index) =>
        code.push(0x41, ...leb2(1024 + 16 * index), 0x20, ...leb(index), ...stores[type], 0));
    code.push(0x0b);
    const body = [...list(locals), ...code];
    const types = [
        [0x60, ...list(args.map(({ type }) => [numbers[type]])),
            ...list(results.map(({ type }) => [numbers[type]]))], [0x60, 0, 0],
    ];
    const bytes = new Uint8Array([
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...part(1, list(types)),
        ...part(2, [1, 1, 0x61, 1, 0x66, 0, 0]), ...part(3, [1, 1]), ...part(5, [1, 0, 1]),
        ...part(7, [2, 1, 0x72, 0, 1, 1, 0x6d, 2, 0]),
        ...part(10, [1, ...leb(body.length), ...body]),
    ]);
    const instance = new WebAssembly.Instance(
        new WebAssembly.Module(bytes), { a: { f: callee } });
    const memory = new Uint8Array(instance.exports.m.buffer);
    args.forEach((arg, index) => memory.set(bytesOf(arg), 16 * index));
    instance.exports.r();
    return results.map(({ type }, index) =>
        memory.slice(1024 + 16 * index, 1024 + 16 * index + sizes[type]));
}
const leb2 = (value) => value < 64 ? [value] : [value & 127 | 128, ...leb2(value >> 7)];

function perform(action, expected) {
    for (const instance of instances) refill(instance);
    const instance = action.module === undefined ? current : named[action.module];
    const item = instance.exports[action.field];
    if (action.type === 'get') return [{ direct: item.value }];
    const types = [...action.args, ...expected].map(({ type }) => type);
    if (types.some((type) => type.endsWith('ref'))) {
        const args = action.args.map(({ type, value }) =>
            type === 'externref' ? (value === 'null' ? null : host(value)) :
                type === 'funcref' ? null :
                    type === 'i64' ? BigInt(value) : Number(value) | 0);
        const value = item(...args);
        return expected.length === 0 ? [] :
            (expected.length === 1 ? [value] : [...value]).map((direct) => ({ direct }));
    }
    return callByMemory(item, action.args, expected).map((bytes) => ({ bytes }));
}

const canonical = { 32: [0, 0, 0xc0, 0x7f], 64: [0, 0, 0, 0, 0, 0, 0xf8, 0x7f] };

/// Whether a result is the expected one. A NaN that arithmetic made must be the canonical one.
function matches(actual, expected, isBitwise) {
    if ('direct' in actual) return matchesDirectly(actual.direct, expected);
    const lanes = expected.type === 'v128' ? expected.value : [expected.value];
    const type = expected.type === 'v128' ? expected.lane_type : expected.type;
    const size = Number(type.slice(1)) / 8;
    const wanted = bytesOf(expected);
    return lanes.every((lane, index) => {
        const bytes = actual.bytes.slice(index * size, (index + 1) * size);
        const other = lane.startsWith('nan:')
            ? canonical[8 * size] : wanted.slice(index * size, (index + 1) * size);
        // Negating the canonical NaN is no arithmetic: it sets a bit.
        if (isBitwise && lane.startsWith('nan:')) bytes[size - 1] &= 0x7f;
        return bytes.every((byte, place) => byte === other[place]);
    });
}

function matchesDirectly(value, { type, value: expected }) {
    if (type === 'externref') return value === (expected === 'null' ? null : host(expected));
    if (type === 'funcref') return expected === 'null' ? value === null : true;
    const view = new DataView(new ArrayBuffer(8));
    if (type === 'i32') view.setInt32(0, value, true);
    if (type === 'i64') view.setBigInt64(0, value, true);
    if (type === 'f32') view.setFloat32(0, value, true);
    if (type === 'f64') view.setFloat64(0, value, true);
    const bytes = bytesOf({ type, value: expected });
    return bytes.every((byte, index) => byte === view.getUint8(index));
}

function status() {
    return instances.map((instance) => instance.exports['weft:status']?.value ?? 0)
        .find((value) => value !== 0) ?? 0;
}

function fails(command, work, check) {
    try {
        work();
    } catch (error) {
        if (error instanceof Refused) throw error;
        if (!(error instanceof WebAssembly.RuntimeError || error instanceof WebAssembly.LinkError)) {
            throw error;
        }
        return check(error);
    }
    throw new Error('it went well');
}

function run(command) {
    switch (command.type) {
    case 'module': {
        current = undefined;
        const instance = instantiate(command.filename);
        current = instance;
        instances.push(instance);
        if (command.name) named[command.name] = instance;
        break;
    }
    case 'register':
        registered[command.as] = (command.name ? named[command.name] : current).exports;
        break;
    case 'action':
        perform(command.action, command.expected);
        break;
    case 'assert_return': {
        const actual = perform(command.action, command.expected);
        command.expected.forEach((expected, index) => {
            if (!matches(actual[index], expected, /neg|abs|copysign/.test(command.action.field))) {
                throw new Error(`result ${index} is ${actual[index].bytes ?? actual[index].direct}`);
            }
        });
        break;
    }
    case 'assert_trap':
        fails(command, () => perform(command.action, []), () => {
            if (status() !== 0) throw new Error(`the status is ${status()}`);
        });
        break;
    case 'assert_exhaustion':
        fails(command, () => perform(command.action, command.expected), () => {
            if (status() !== 2) throw new Error(`the status is ${status()}`);
        });
        break;
    case 'assert_invalid':
    case 'assert_malformed':
        try {
            load(command.filename);
        } catch (error) {
            if (error instanceof Refused) break;
            throw error;
        }
        throw new Error('it was taken');
    case 'assert_unlinkable':
    case 'assert_uninstantiable':
        fails(command, () => instantiate(command.filename), () => {});
        break;
    default: throw new Error(`unknown command ${command.type}`);
    }
}

for (const command of script.commands) {
    if (command.module_type === 'text') continue;
    try {
        run(command);
        result.passed += 1;
    } catch (error) {
        // Without its module, nothing can be asked of it.
        const excused = error instanceof Refused
            || current === undefined && command.type !== 'module';
        if (excused) {
            result.refused += 1;
            if (process.env.WEFT_VERBOSE) console.error(`${file}:${command.line} ${error.message}`);
        } else {
            result.failed.push(`${command.line}: ${command.type}: ${error.message}`);
        }
    }
}
console.log(JSON.stringify(result));
