// Runs calls of contracts on a JavaScript engine, with the functions that the native interface
// (include/weft.h) and WASI (wasi.mjs) give them. Nothing here belongs to one environment: node and
// a browser's worker use it alike. Everything runs to its end at once, without promises.
//
// What is run is an instrumented module, which counts its own gas. Prices and their order are those
// of docs/contracts-rules.md.

import { callIdentity, cidBytes, isCID, littleEndian } from './identity.mjs';
import { Commands } from './wasi.mjs';

/** How a call ended. What is not `ok` has no response, and used all its gas. */
export const Outcome = { ok: 0, outOfGas: 1, stackExhausted: 2, resource: 3, trap: 4 };

/** Calls within calls. */
const maxDepth = 64;
/** Calls and contents that one activation may ask for. */
const maxFetches = 4_096;
/** Bytes of a response's body. */
const maxBody = 64 << 20;
/** Headers of a request or response, and the bytes that they take together. */
const maxHeaders = 32;
const maxHeaderBytes = 8 << 10;
/** Bytes of a path, decoded, and of a query. */
const maxPathBytes = 4 << 10;
const maxQueryBytes = 8 << 10;
/** Bytes of a URL of content, and the names in it. */
const maxURLBytes = 16 << 10;
const maxNames = 1_000;
/** The most gas that a call may be given, and what an activation may use of it by itself. */
const maxGas = 1n << 48n;
const maxOwnGas = 1n << 32n;

const prices = { call: 200n, fetch: 5_000n, lookup: 30_000n, seedByte: 8n };

/** Ends an activation: the contract did what it must not. */
export class Misuse extends Error {}

/** Ends the whole call without a result: this machine lacks something. */
export class Resource extends Error {}

/** There is no memory for one more instance. Others may give theirs back, and then there is. */
export class NoMemory extends Resource {}

/** Ends an activation whose gas has run out; `weft:status` says so. */
class OutOfGas extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
const token = /^[a-z0-9_-]{1,64}$/;
const controls = /[\x00-\x08\x0a-\x1f\x7f]/;
const reachesContracts = /^(content-type|accept|weft-dir|weft-arg-.*)$/;
const byName = ([first], [second]) => (first < second ? -1 : 1);

/** A body that is in memory, as something that can be read by ranges. */
export function bytesContent(bytes) {
    return { size: bytes.length, read: (offset, count) => bytes.subarray(offset, offset + count) };
}

const nothing = bytesContent(new Uint8Array());

/**
 * Runs one call and all that it calls.
 *
 * `host` has `contract(cid)`, which gives what `contractOf` makes of a module, or nothing if the CID
 * names no contract, and `content(cid)`, which gives a file ({ size, read(offset, count) }) or a folder
 * ({ entries: Map of name to content }); both throw `Resource` for what is not to be had.
 * `sha256(bytes)` is its to bring as well. Optional are `cid(text)`, the usual text of a CID;
 * `answered(call)`, the answer to a call that is known already; `started(activation)`, which sees each
 * activation when its instance has been made; and `finished(activation, answer)`, which sees it at its end,
 * and may give the answer a `record`: the CID, as bytes, that the caller's `children` list.
 *
 * `call` has contract (a CID's text), method, path, query, headers (a Map), body (as a file), gas (a
 * BigInt). The answer has outcome, gas, and if it is ok status, headers (sorted pairs), body (bytes);
 * `reason` says what a trap was about; `errors` is what a command wrote to standard error.
 */
export function runCall(host, call, depth = 0) {
    const contract = host.contract(call.contract);
    if (!answers(contract, call)) {
        // Nothing is called, and nothing paid.
        const status = contract === undefined ? 422 : 404;
        return { outcome: Outcome.ok, gas: 0n, errors: '', status, headers: [], body: new Uint8Array() };
    }
    const activation = new Activation(host, call, depth);
    const answer = activation.answer(contract);
    host.finished?.(activation, answer);
    return answer;
}

/** Whether a contract has what a call is for. */
export function answers(contract, { path }) {
    return contract !== undefined
        && (contract.exports.has('_start') || contract.exports.has(methodName(path)));
}

/** A contract for hosts, by its instrumented module and what an instance of it costs. */
export function contractOf(bytes, instantiationGas) {
    const module = new WebAssembly.Module(bytes);
    const exports = new Set();
    for (const { name, kind } of WebAssembly.Module.exports(module)) {
        if (kind === 'function') exports.add(name);
    }
    return { module, instantiationGas, exports };
}

/** One call of one contract. */
class Activation {
    errors = '';
    /** The content that it read, by CIDs in the order of the first access. */
    reads = new Set();
    /** The records of what it called, as far as it waited for that. */
    children = [];
    /** The gas that these used. */
    calleeGas = 0n;
    /** The CID of the folder that the call names; undefined if it names none. */
    folder;
    /** The headers that the contract sees; its limit is one of them. */
    headers;
    /** The gas that the functions of the host took, by name. */
    spent = new Map();
    /** What is left of the call's gas, and of what the activation may use by itself. */
    left;
    #ownLeft;
    /** What `weft:gas` was last known to hold: the less of both. */
    #lent = 0n;
    #function = '';
    #status = 200;
    #responseHeaders = new Map();
    #body = [];
    #bodySize = 0;
    /** The request, then what was fetched. */
    #sources;
    /** How many of the sources are settled. */
    #settled = 1;
    #commands;
    #seed;
    #seedBlock;
    #seeded = 0;

    constructor(host, call, depth) {
        this.host = host;
        this.call = call;
        this.depth = depth;
        this.headers = new Map([...call.headers, ['weft-gas', `${call.gas}`]].sort(byName));
        this.#sources = [{ headers: this.headers, body: call.body }];
        const named = call.headers.get('weft-dir');
        if (named === undefined && /%[^&=]*=|(?:^|&)dir=[^&]*%|^(?:[^&]*&){64}/.test(call.query)) {
            throw new Resource('the query may name a folder, which is not decoded here');
        }
        this.folder = this.#cid(named ?? parameter(call.query, 'dir') ?? '');
        if (this.folder !== undefined) this.reads.add(this.folder);
    }

    #cid(text) {
        if (this.host.cid) return text === '' ? undefined : this.host.cid(text);
        return isCID(text) ? text : undefined;
    }

    /** Runs a contract, and says what came of it. */
    answer(contract) {
        const { call } = this;
        const lost = (outcome, reason) => ({ outcome, gas: call.gas, errors: this.errors, reason });
        if (contract.instantiationGas > call.gas) return lost(Outcome.outOfGas);
        try {
            this.run(contract, contract.exports.has('_start') ? undefined : methodName(call.path));
        } catch (error) {
            if (error instanceof Resource) throw error;
            const status = this.exports?.['weft:status'].value ?? 0;
            if (status === Outcome.outOfGas || status === Outcome.stackExhausted) return lost(status);
            // What the rules grant was not there: memory, or the engine's own stack.
            if (status === Outcome.resource || error instanceof RangeError) {
                const Lack = this.exports ? Resource : NoMemory;
                throw new Lack(`the engine lacks memory or stack: ${error.message}`);
            }
            if (error instanceof Misuse || error instanceof WebAssembly.RuntimeError) {
                return lost(Outcome.trap, error.message);
            }
            throw error;
        }
        if (this.isOverdrawn) return lost(Outcome.outOfGas);
        return {
            outcome: Outcome.ok, gas: call.gas - this.left, errors: this.errors, ...this.response(),
        };
    }

    /** Runs a method, or a command if none is named. */
    run({ module, instantiationGas }, method) {
        this.#commands = new Commands(this, method === undefined);
        const instance = new WebAssembly.Instance(module, {
            weft: this.#counted('weft', this.#imports()),
            wasi_snapshot_preview1: this.#counted('wasi', this.#commands.imports()),
        });
        for (const name of [method ?? '_start', '_initialize', '_start']) {
            if ((instance.exports[name]?.length ?? 0) !== 0) throw new Resource(`${name} is no method`);
        }
        this.exports = instance.exports;
        this.memory = this.exports.memory;
        this.host.started?.(this);
        this.gas = this.exports['weft:gas'];
        this.left = this.call.gas - instantiationGas;
        this.#ownLeft = (this.call.gas < maxOwnGas ? this.call.gas : maxOwnGas) - instantiationGas;
        this.#lend();
        this.exports['weft:start']?.();
        if (method === undefined) {
            this.#commands.run(this.exports._start);
        } else {
            this.#call('_initialize');
            this.#call(method);
        }
        this.#takeBack();
        this.#settle(this.#sources.length - 1);
    }

    /** Methods take and give nothing; what does is none, which only its type tells beforehand. */
    #call(name) {
        if (this.exports[name]?.() !== undefined) throw new Resource(`${name} is no method`);
    }

    get isOverdrawn() { return this.left < 0n || this.#ownLeft < 0n; }

    response() {
        let body = joined(this.#body);
        const head = this.#commands.head(body);
        if (head) {
            this.#status = head.status;
            for (const [name, value] of head.headers) this.setHeader(name, value);
            body = body.subarray(head.length);
        }
        return { status: this.#status, headers: [...this.#responseHeaders].sort(byName), body };
    }

    setHeader(name, value) {
        if (!token.test(name) || controls.test(value)) throw new Misuse('a header is malformed');
        this.#responseHeaders.set(name, trimmed(value));
        let bytes = 0;
        for (const pair of this.#responseHeaders) bytes += encoder.encode(pair.join('')).length;
        if (this.#responseHeaders.size > maxHeaders || bytes > maxHeaderBytes) {
            throw new Misuse('the response has too many headers');
        }
    }

    // MARK: - Gas and memory

    /** The functions of a module, each of which says who takes gas. */
    #counted(module, functions) {
        const counted = Object.entries(functions).map(([name, body]) => [
            name, (...parameters) => {
                if (parameters.length !== body.length && module === 'weft') {
                    throw new Resource(`${name} is imported with another type`);
                }
                this.#function = `${module}.${name}`;
                this.#takeBack();
                const result = body(...parameters);
                this.#lend();
                return result;
            },
        ]);
        // Nothing that objects inherit can be imported.
        return Object.assign(Object.create(null), Object.fromEntries(counted));
    }

    /** Puts into `weft:gas` what the contract may use. */
    #lend() {
        this.#lent = this.left < this.#ownLeft ? this.left : this.#ownLeft;
        this.gas.value = this.#lent;
    }

    /** Takes off what the contract used since then. */
    #takeBack() {
        const used = this.#lent - this.gas.value;
        this.left -= used;
        this.#ownLeft -= used;
        this.#lent = this.gas.value;
    }

    /** Takes gas for good. */
    pay(gas) {
        this.spent.set(this.#function, (this.spent.get(this.#function) ?? 0n) + gas);
        this.left -= gas;
        this.#ownLeft -= gas;
        this.#checkGas();
    }

    #checkGas() {
        if (!this.isOverdrawn) return;
        this.exports['weft:status'].value = Outcome.outOfGas;
        throw new OutOfGas();
    }

    /** Takes the fixed price of a function of the host. */
    payCall() { this.pay(prices.call); }

    /** Takes 1 for each full 8 bytes. */
    payBytes(count) { this.pay(BigInt(Math.floor(count / 8))); }

    /** Takes off what looking up so many names in folders costs. */
    payLookups(count) { this.pay(BigInt(Math.max(1, count)) * prices.lookup); }

    /** A range of the contract's memory. One of no bytes is never outside. */
    range(pointer, length) {
        const start = pointer >>> 0;
        const count = length >>> 0;
        if (count === 0) return new Uint8Array();
        if (!this.memory || start + count > this.memory.buffer.byteLength) {
            throw new Misuse('a range lies outside of its memory');
        }
        return new Uint8Array(this.memory.buffer, start, count);
    }

    text(pointer, length) {
        const bytes = this.range(pointer, length);
        try {
            return decoder.decode(bytes);
        } catch {
            throw new Misuse('a text is not UTF-8');
        }
    }

    /** Copies as much as fits. */
    place(bytes, out, length) {
        const count = Math.min(bytes.length, length >>> 0);
        this.range(out, count).set(bytes.subarray(0, count));
    }

    /** Appends to the body of the response. */
    append(bytes) {
        this.#bodySize += bytes.length;
        if (this.#bodySize > maxBody) throw new Resource('a response of more than 64 MiB');
        this.#body.push(bytes.slice());
    }

    /** Fills memory with the next bytes of the stream that follows from the call; they are paid. */
    fillWithSeed(out, length) {
        this.pay(BigInt(length >>> 0) * prices.seedByte);
        const room = this.range(out, length);
        const { sha256 } = this.host;
        this.#seed ??= sha256(joined([encoder.encode('weft seed'), callIdentity(sha256, this.call)]));
        for (let done = 0; done < room.length; done += 1) {
            const place = this.#seeded % 32;
            if (place === 0) {
                const number = littleEndian(BigInt(this.#seeded / 32), 8);
                this.#seedBlock = sha256(joined([this.#seed, number]));
            }
            room[done] = this.#seedBlock[place];
            this.#seeded += 1;
        }
    }

    // MARK: - Sources

    #source(number) {
        if (number < 0 || number >= this.#sources.length) throw new Misuse('there is no such source');
        this.#settle(number);
        return this.#sources[number];
    }

    /**
     * Has what was fetched answered, in the order in which it was started, and takes back the gas that
     * callees did not use. What nobody waits for is never run.
     */
    #settle(last) {
        for (; this.#settled <= last; this.#settled += 1) {
            const { reserved, ask } = this.#sources[this.#settled];
            const answer = ask();
            this.#sources[this.#settled] = answer;
            this.left += reserved - answer.used;
            this.calleeGas += answer.used;
            if (answer.record !== undefined) this.children.push(answer.record);
        }
    }

    #fetch(url, method, headerText, body) {
        const headers = parsedHeaders(headerText);
        const verb = method || 'GET';
        if (!url.startsWith('weft://') && !url.startsWith('/')) {
            if (this.#sources.length > maxFetches) throw new Misuse('it fetches too much');
            const find = this.#content(url, verb, body);
            const ask = () => {
                const found = find();
                const answer = found?.read ? { status: 200, body: found } : { status: 404, body: nothing };
                return { ...answer, headers: new Map(), used: 0n };
            };
            return { reserved: 0n, ask };
        }
        const given = headers.get('weft-gas');
        if (given !== undefined && (!/^(0|[1-9][0-9]*)$/.test(given) || BigInt(given) >> 63n !== 0n)) {
            throw new Misuse('weft-gas is no number');
        }
        const reserved = given === undefined ? this.left / 2n : BigInt(given);
        this.left -= reserved;
        this.#checkGas();
        if (this.#sources.length > maxFetches) throw new Misuse('it fetches too much');
        if (url.includes('#')) throw new Resource('a URL with a fragment');
        const isName = (text) => this.#cid(text) !== undefined;
        const call = {
            ...parsedURL(url.startsWith('/') ? `weft://${this.call.contract}${url}` : url, isName),
            method: verb, headers: reaching(headers), body: bytesContent(body), gas: reserved,
        };
        call.contract = this.#cid(call.contract);
        if (this.host.cid && ![0x55, 0x70].includes(cidBytes(call.contract)[1])) {
            throw new Misuse('this is no contract');
        }
        checkCall({ ...call, headers });
        return { reserved, ask: () => this.#ask(call) };
    }

    /** Has a call answered. */
    #ask(call) {
        if (this.depth + 1 >= maxDepth) throw new Resource('calls within calls beyond 64');
        const answer = this.host.answered?.(call) ?? runCall(this.host, call, this.depth + 1);
        const { gas: used, record } = answer;
        if (answer.outcome !== Outcome.ok) {
            // Outcomes count `resource` before `trap`; a contract never sees the former.
            const status = Math.min(answer.outcome, 3);
            return { status, headers: new Map(), body: nothing, used, record };
        }
        const body = answer.body.read ? answer.body : bytesContent(answer.body);
        return { status: answer.status, headers: new Map(answer.headers), body, used, record };
    }

    /** What finds the content that a URL leads to; undefined if there is none below its CID. */
    #content(url, verb, body) {
        if (/[?#%]|\/\.\.?(?:\/|$)/.test(url)) throw new Resource('a URL that is not resolved here');
        const match = /^ipfs:\/\/([a-zA-Z0-9]+)(\/[^?#]*)?$/.exec(url);
        if (!match || this.#cid(match[1]) === undefined || (verb !== 'GET' && verb !== 'HEAD') || body.length > 0) {
            throw new Misuse('a URL or method is none that can be fetched');
        }
        const root = this.#cid(match[1]);
        const names = decoded(match[2] ?? '').split('/').filter((name) => name !== '');
        if (encoder.encode(url).length > maxURLBytes || names.length > maxNames) {
            throw new Misuse('a URL of content is too long');
        }
        this.reads.add(root);
        return () => names.reduce(
            (found, name) => found?.entries?.get(name), this.host.content(root));
    }

    // MARK: - The native interface

    /** Text about a source; undefined if there is none. */
    #field(source, headers, kind, name) {
        if (kind === 3) return headers.get(name);
        if (kind === 4) return [...headers.keys()].sort().map((key) => `${key}\n`).join('');
        return source === 0 ? [this.call.method, this.call.path, this.call.query][kind] : undefined;
    }

    #imports() {
        return {
            field: (source, kind, name, nameLength, out, outLength) => {
                this.payCall();
                const { headers } = this.#source(source);
                if (kind < 0 || kind > 4) throw new Misuse('there is no such kind of field');
                const named = kind === 3 ? nameLength >>> 0 : 0;
                this.payBytes(named);
                const text = this.#field(source, headers, kind, this.text(name, named));
                if (text === undefined) return -1;
                const bytes = encoder.encode(text);
                const copied = Math.min(bytes.length, outLength >>> 0);
                // Name and value are counted together.
                this.pay(BigInt(Math.floor((named + copied) / 8) - Math.floor(named / 8)));
                this.place(bytes, out, copied);
                return bytes.length;
            },
            size: (source) => {
                this.payCall();
                return BigInt(this.#source(source).body.size);
            },
            read: (source, offset, out, outLength) => {
                this.payCall();
                const { body } = this.#source(source);
                const count = available(body, offset, BigInt(outLength >>> 0));
                this.payBytes(count);
                if (count > 0) this.range(out, count).set(body.read(Number(offset), count));
                return count;
            },
            fetch: (url, urlLength, method, methodLength, headers, headersLength, body, bodyLength) => {
                this.pay(prices.fetch);
                this.payBytes([urlLength, methodLength, headersLength, bodyLength]
                    .reduce((sum, length) => sum + (length >>> 0), 0));
                this.#sources.push(this.#fetch(
                    this.text(url, urlLength), this.text(method, methodLength),
                    this.text(headers, headersLength), this.range(body, bodyLength).slice()));
                return this.#sources.length - 1;
            },
            status: (source) => {
                this.payCall();
                if (source === 0) throw new Misuse('a request has no status');
                return this.#source(source).status;
            },
            respond: (status) => {
                this.payCall();
                if (status < 200 || status > 599) {
                    throw new Misuse("a response's status is from 200 to 599");
                }
                this.#status = status;
            },
            header: (name, nameLength, value, valueLength) => {
                this.payCall();
                this.payBytes((nameLength >>> 0) + (valueLength >>> 0));
                this.setHeader(this.text(name, nameLength), this.text(value, valueLength));
            },
            write: (pointer, length) => {
                this.payCall();
                this.payBytes(length >>> 0);
                this.append(this.range(pointer, length));
            },
            pass: (source, offset, length) => {
                this.payCall();
                const { body } = this.#source(source);
                const count = available(body, offset, length);
                this.payBytes(count);
                if (count > 0) this.append(body.read(Number(offset), count));
            },
            seed: (out, length) => {
                this.payCall();
                this.fillWithSeed(out, length);
            },
        };
    }
}

/** The value of a parameter of a query, as it stands there. */
function parameter(query, name) {
    const item = query.split('&').find((text) => text.startsWith(`${name}=`));
    return item?.slice(name.length + 1);
}

/** A header's value without spaces around it. */
export function trimmed(value) {
    return value.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** How many bytes of a body there are from an offset on, of as many as are wanted. */
function available(body, offset, wanted) {
    if (offset < 0n || wanted < 0n) throw new Misuse('an offset and a length are not negative');
    if (offset >= BigInt(body.size)) return 0;
    const rest = BigInt(body.size) - offset;
    return Number(wanted < rest ? wanted : rest);
}

/** The export that a path names. */
function methodName(path) {
    const name = path.split('/')[1] || 'index';
    return /^[a-z][a-z0-9-]*$/.test(name) ? name : undefined;
}

/** The parts of a URL `weft://<cid>/path?query`, by what tells whether a text is a CID. */
export function parsedURL(url, isName = isCID) {
    const match = /^weft:\/\/([a-zA-Z0-9]+)(\/[^?#]*)?(\?[^#]*)?$/.exec(url);
    if (!match || !isName(match[1])) throw new Misuse(`no URL of a contract: ${url}`);
    return {
        contract: match[1], path: decoded(match[2] ?? '/'), query: (match[3] ?? '?').slice(1),
    };
}

function decoded(path) {
    try {
        return decodeURIComponent(path);
    } catch {
        throw new Misuse('a path that is not percent-encoded UTF-8');
    }
}

/** What all calls must be. */
function checkCall({ method, path, query, headers, gas }) {
    const bytes = [...headers].reduce((sum, pair) => sum + encoder.encode(pair.join('')).length, 0);
    const isCall = /^[A-Z]{1,16}$/.test(method) && gas >= 1n && gas <= maxGas
        && encoder.encode(path).length <= maxPathBytes && !path.includes('\0')
        && query.length <= maxQueryBytes && /^[\x21-\x22\x24-\x7e]*$/.test(query)
        && headers.size <= maxHeaders && bytes <= maxHeaderBytes;
    if (!isCall) throw new Misuse('a URL or method is none that can be fetched');
}

/** Lines `name: value`; the last of a name counts. */
function parsedHeaders(text) {
    const headers = new Map();
    for (const line of text.split('\n')) {
        if (line === '') continue;
        const colon = line.indexOf(':');
        const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
        const value = trimmed(line.slice(colon + 1));
        if (!token.test(name) || controls.test(value) || headers.size >= maxHeaders) {
            throw new Misuse('a header of fetch is malformed');
        }
        headers.set(name, value);
    }
    return headers;
}

/** Those headers that reach a contract. */
export function reaching(headers) {
    return new Map([...headers].filter(([name]) => reachesContracts.test(name)).sort(byName));
}

/** Byte arrays one after the other. */
export function joined(parts) {
    const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of parts) {
        out.set(part, offset);
        offset += part.length;
    }
    return out;
}
