// Has an engine that lends contracts no functions, as the command `wasmkit` does, run what V8 has run:
// `node --import record.mjs …` notes for each instance what its host's functions were asked and what
// they did, and writes to the folder WEFT_RECORD a module that is the same but for its imports, in
// whose place stand functions which
//
//   - trap (`unreachable`) unless they are called in the same order, with the same numbers and the same
//     gas, and, where something is written out, with the same memory;
//   - then do what the host did: change memory and gas, and give the same.
//
// Its export `measure` gives how often the host was called and the gas that is left, as the text beside
// it says. What did not come to its end is not written: an engine does not tell why it trapped.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.WEFT_RECORD;
const modules = new WeakMap();
let written = 0;

const numbers = { i32: 0x7f, i64: 0x7e };
const unsigned = (value) => {
    const out = [];
    do {
        out.push(value > 127 ? value & 127 | 128 : value);
        value >>>= 7;
    } while (value > 0);
    return out;
};
const signed = (value) => {
    const out = [];
    let rest = BigInt(value);
    for (;;) {
        const byte = Number(BigInt.asUintN(7, rest));
        rest >>= 7n;
        if (rest === (byte & 0x40 ? -1n : 0n)) return [...out, byte];
        out.push(byte | 0x80);
    }
};
const list = (items) => [...unsigned(items.length), ...items.flat()];
const part = (bytes) => [...unsigned(bytes.length), ...bytes];
const text = (string) => part([...Buffer.from(string)]);
const constant = (type, value) => [type === 'i32' ? 0x41 : 0x42, ...signed(value)];
/** Traps if two numbers on the stack differ. */
const same = (type) => [type === 'i32' ? 0x47 : 0x52, 0x04, 0x40, 0x00, 0x0b];

/** A cursor over a module's bytes. */
class Reader {
    constructor(bytes) {
        this.bytes = bytes;
        this.offset = 0;
    }

    number() {
        let value = 0;
        for (let shift = 0; ; shift += 7) {
            const byte = this.bytes[this.offset];
            this.offset += 1;
            value += (byte & 127) * 2 ** shift;
            if (byte < 128) return value;
        }
    }

    take(count) {
        this.offset += count;
        return this.bytes.subarray(this.offset - count, this.offset);
    }

    name() { return Buffer.from(this.take(this.number())).toString(); }
}

/** The sections of a module, by number. */
function sectionsOf(bytes) {
    const reader = new Reader(bytes);
    reader.take(8);
    const sections = new Map();
    while (reader.offset < bytes.length) {
        const [id] = reader.take(1);
        sections.set(id, reader.take(reader.number()));
    }
    return sections;
}

/** A list of a section with more at its start and its end. */
function longer(section, before, after) {
    if (section === undefined) return list([...before, ...after]);
    const reader = new Reader(section);
    const count = reader.number();
    return Buffer.concat([
        Buffer.from(unsigned(count + before.length + after.length)), Buffer.from(before.flat()),
        section.subarray(reader.offset), Buffer.from(after.flat()),
    ]);
}

const count = (section) => (section === undefined ? 0 : new Reader(section).number());

/** The sum of what lies in memory; the same as the function that `sumCode` makes. */
function sumOf(memory) {
    let sum = 0;
    for (const word of new Int32Array(memory.buffer)) sum = Math.imul(sum ^ word, 0x01000193);
    return sum;
}

const sumCode = [
    1, 2, 0x7f, // variables: the sum, the place
    0x03, 0x40,
    0x20, 0, 0x20, 1, 0x28, 2, 0, 0x73, ...constant('i32', 0x01000193), 0x6c, 0x21, 0,
    0x20, 1, ...constant('i32', 4), 0x6a, 0x22, 1, 0x3f, 0, ...constant('i32', 16), 0x74, 0x47, 0x0d, 0,
    0x0b, 0x20, 0, 0x0b,
];

/** What one instance did. */
class Recording {
    steps = [];
    calls = [];
    isWhole = false;

    constructor(bytes) { this.bytes = bytes; }

    get gas() { return this.exports['weft:gas'].value; }

    /** A function of the host that is listened to. */
    heard(index, name, body) {
        return (...args) => {
            const step = { index, args, before: this.gas, writes: [] };
            const { memory } = this;
            const old = memory && Buffer.from(new Uint8Array(memory.buffer).slice());
            if (memory && /write|header|respond/.test(name)) step.sum = sumOf(memory);
            this.steps.push(step);
            step.result = body(...args);
            step.after = this.gas;
            if (memory) this.compare(old, Buffer.from(memory.buffer), step.writes);
            return step.result;
        };
    }

    /** What differs between two states of memory, in blocks. */
    compare(old, now, writes) {
        const block = 256;
        for (let start = 0; start < now.length; start += block) {
            const part = now.subarray(start, start + block);
            if (part.equals(old.subarray(start, start + block))) continue;
            writes.push({ start, bytes: [...part] });
        }
    }

    /** An exported function that is listened to. */
    called(name, body) {
        return (...args) => {
            this.start ??= this.gas;
            this.calls.push(name);
            this.isWhole = false;
            const result = body(...args);
            this.isWhole = true;
            return result;
        };
    }

    /** The module that does the same without a host. */
    get module() {
        const sections = sectionsOf(this.bytes);
        const types = count(sections.get(1));
        const globals = count(sections.get(6));
        const segments = count(sections.get(11));
        const exported = new Map();
        // Under other names: what exports `_start` is run as a command.
        const exports = [];
        const reader = new Reader(sections.get(7));
        for (let left = reader.number(); left > 0; left -= 1) {
            const name = reader.name();
            const [kind] = reader.take(1);
            const index = reader.number();
            exported.set(name, index);
            exports.push([...text(`its ${name}`), kind, ...unsigned(index)]);
        }
        const gas = unsigned(exported.get('weft:gas'));
        const step = unsigned(globals);
        const functions = this.imports.length + count(sections.get(3));
        const sum = unsigned(functions);
        const data = [];

        const stub = (index) => {
            const { parameters, result } = this.imports[index];
            const code = [0];
            for (const [number, one] of this.steps.entries()) {
                if (one.index !== index) continue;
                code.push(0x23, ...step, ...constant('i32', number), 0x46, 0x04, 0x40);
                parameters.forEach((type, place) => {
                    code.push(0x20, ...unsigned(place), ...constant(type, one.args[place]), ...same(type));
                });
                code.push(0x23, ...gas, ...constant('i64', one.before), ...same('i64'));
                if ('sum' in one) code.push(0x10, ...sum, ...constant('i32', one.sum), ...same('i32'));
                for (const { start, bytes } of one.writes) {
                    code.push(...constant('i32', start | 0), 0x41, 0, ...constant('i32', bytes.length));
                    code.push(0xfc, 8, ...unsigned(segments + data.length), 0);
                    data.push([1, ...part(bytes)]);
                }
                code.push(...constant('i32', number + 1), 0x24, ...step);
                code.push(...constant('i64', one.after), 0x24, ...gas);
                if (result) code.push(...constant(result, one.result));
                code.push(0x0f, 0x0b);
            }
            return part([...code, 0x00, 0x0b]);
        };
        const stubs = this.imports.map((_, index) => stub(index));
        const measure = [0, ...constant('i64', this.start), 0x24, ...gas];
        for (const name of this.calls) measure.push(0x10, ...unsigned(exported.get(name)));
        if (this.sum !== undefined) {
            measure.push(0x10, ...sum, ...constant('i32', this.sum), ...same('i32'));
        }
        measure.push(0x23, ...step, 0xad, 0x23, ...gas, 0x0b);

        sections.delete(2);
        sections.set(1, longer(sections.get(1), [], [[0x60, 0, 1, 0x7f], [0x60, 0, 2, 0x7e, 0x7e]]));
        sections.set(3, longer(
            sections.get(3), this.imports.map(({ type }) => unsigned(type)),
            [unsigned(types), unsigned(types + 1)]));
        sections.set(6, longer(sections.get(6), [], [[0x7f, 1, 0x41, 0, 0x0b]]));
        exports.push([...text('measure'), 0, ...unsigned(functions + 1)]);
        sections.set(7, Buffer.from(list(exports)));
        sections.set(10, longer(
            sections.get(10), stubs,
            [part(this.memory ? sumCode : [0, 0x41, 0, 0x0b]), part(measure)]));
        if (data.length > 0 || sections.has(12)) {
            sections.set(11, longer(sections.get(11), [], data));
            sections.set(12, Buffer.from(unsigned(segments + data.length)));
        }
        const order = [1, 3, 4, 5, 6, 7, 9, 12, 10, 11];
        return Buffer.concat([
            Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
            ...order.filter((id) => sections.has(id)).flatMap((id) => {
                const content = Buffer.from(sections.get(id));
                return [Buffer.from([id, ...unsigned(content.length)]), content];
            }),
        ]);
    }

    write() {
        if (!this.isWhole) return;
        const name = join(folder, `${written}`);
        written += 1;
        writeFileSync(`${name}.wasm`, this.module);
        const left = BigInt.asUintN(64, this.gas);
        writeFileSync(`${name}.txt`, `${this.steps.length} ${left}`);
    }
}

/** The functions that a module imports, with their types. */
function importsOf(bytes) {
    const sections = sectionsOf(bytes);
    const types = [];
    let reader = new Reader(sections.get(1));
    const letters = () => [...reader.take(reader.number())]
        .map((byte) => Object.keys(numbers).find((name) => numbers[name] === byte));
    for (let left = reader.number(); left > 0; left -= 1) {
        reader.take(1);
        types.push({ parameters: letters(), result: letters()[0] });
    }
    if (!sections.has(2)) return [];
    reader = new Reader(sections.get(2));
    return Array.from({ length: reader.number() }, () => {
        const [module, name] = [reader.name(), reader.name()];
        reader.take(1);
        const type = reader.number();
        return { module, name, type, ...types[type] };
    });
}

const recordings = [];
const { Module, Instance } = WebAssembly;
WebAssembly.Module = function (bytes) {
    const module = new Module(bytes);
    modules.set(module, bytes);
    return module;
};
Object.assign(WebAssembly.Module, { exports: Module.exports, imports: Module.imports });
WebAssembly.Instance = function (module, host) {
    const recording = new Recording(modules.get(module));
    recording.imports = importsOf(recording.bytes);
    const imports = {};
    recording.imports.forEach(({ module: from, name }, index) => {
        (imports[from] ??= {})[name] = recording.heard(index, name, host[from][name]);
    });
    const instance = new Instance(module, imports);
    recording.exports = instance.exports;
    recording.memory = Object.values(instance.exports)
        .find((item) => item instanceof WebAssembly.Memory);
    const exports = {};
    for (const [name, item] of Object.entries(instance.exports)) {
        exports[name] = typeof item === 'function' ? recording.called(name, item) : item;
    }
    recordings.push(recording);
    return { exports };
};
process.on('exit', () => {
    for (const recording of recordings) {
        if (recording.memory) recording.sum = sumOf(recording.memory);
        recording.write();
    }
});
