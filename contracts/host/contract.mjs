// Runs calls of contracts on a JavaScript engine, with the functions that the native interface
// (include/weft.h) and WASI (wasi.mjs) give them. Nothing here belongs to one environment: node and
// a browser's worker use it alike. Everything runs to its end at once, without promises.
//
// What is run is an instrumented module, which counts its own gas. Prices and their order are those
// of docs/contracts-rules.md.

import { callIdentity, isCID, littleEndian } from './identity.mjs';
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
/** The most gas that a call may be given, and what an activation may use of it by itself. */
const maxGas = 1n << 48n;
const maxOwnGas = 1n << 32n;

const prices = { call: 200n, fetch: 5_000n };

/** Ends an activation: the contract did what it must not. */
export class Misuse extends Error {}

/** Ends the whole call without a result: this machine lacks something. */
export class Resource extends Error {}

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
 * `host` has `contract(cid)`, which gives what `contractOf` makes of a module, and `content(cid)`, which
 * gives a file ({ size, read(offset, count) }) or a folder ({ entries: Map of name to content }); both
 * throw `Resource` for what is not to be had. `sha256(bytes)` is its to bring as well. The optional
 * `finished(activation)` sees each activation at its end.
 *
 * `call` has contract (a CID's text), method, path, query, headers (a Map), body (as a file), gas (a
 * BigInt). The answer has outcome, gas, and if it is ok status, headers (sorted pairs), body (bytes);
 * `reason` says what a trap was about; `errors` is what a command wrote to standard error.
 */
export function runCall(host, call, depth = 0) {
    const contract = host.contract(call.contract);
    const isCommand = contract.exports.has('_start');
    const method = methodName(call.path);
    if (!isCommand && !contract.exports.has(method)) {
        // Nothing is called, and nothing paid.
        return { outcome: Outcome.ok, gas: 0n, errors: '', status: 404, headers: [], body: new Uint8Array() };
    }
    const activation = new Activation(host, call, depth);
    const lost = (outcome, reason) => ({ outcome, gas: call.gas, errors: activation.errors, reason });
    if (contract.instantiationGas > call.gas) return lost(Outcome.outOfGas);
    try {
        activation.run(contract, isCommand ? undefined : method);
    } catch (error) {
        if (error instanceof Resource) throw error;
        const status = activation.exports?.['weft:status'].value ?? 0;
        if (status === Outcome.outOfGas || status === Outcome.stackExhausted) return lost(status);
        // What the rules grant was not there: memory, or the engine's own stack.
        if (status === Outcome.resource || error instanceof RangeError) {
            throw new Resource(`the engine lacks memory or stack: ${error.message}`);
        }
        if (error instanceof Misuse || error instanceof WebAssembly.RuntimeError) {
            return lost(Outcome.trap, error.message);
        }
        throw error;
    } finally {
        host.finished?.(activation);
    }
    if (activation.isOverdrawn) return lost(Outcome.outOfGas);
    return {
        outcome: Outcome.ok, gas: call.gas - activation.left, errors: activation.errors,
        ...activation.response(),
    };
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
    }

    /** Runs a method, or a command if none is named. */
    run({ module, instantiationGas }, method) {
        this.#commands = new Commands(this, method === undefined);
        const instance = new WebAssembly.Instance(module, {
            weft: this.#counted('weft', this.#imports()),
            wasi_snapshot_preview1: this.#counted('wasi', this.#commands.imports()),
        });
        this.exports = instance.exports;
        this.memory = this.exports.memory;
        this.gas = this.exports['weft:gas'];
        this.left = this.call.gas - instantiationGas;
        this.#ownLeft = (this.call.gas < maxOwnGas ? this.call.gas : maxOwnGas) - instantiationGas;
        this.#lend();
        this.exports['weft:start']?.();
        if (method === undefined) {
            this.#commands.run(this.exports._start);
        } else {
            this.exports._initialize?.();
            this.exports[method]();
        }
        this.#takeBack();
        this.#settle(this.#sources.length - 1);
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
        return Object.fromEntries(Object.entries(functions).map(([name, body]) => [
            name, (...parameters) => {
                this.#function = `${module}.${name}`;
                this.#takeBack();
                const result = body(...parameters);
                this.#lend();
                return result;
            },
        ]));
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

    /** Fills memory with the next bytes of the stream that follows from the call. */
    fillWithSeed(room) {
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

    /** Gives back what callees did not use, in the order in which they were started. */
    #settle(last) {
        for (; this.#settled <= last; this.#settled += 1) {
            const { reserved, used } = this.#sources[this.#settled];
            this.left += reserved - used;
        }
    }

    #fetch(url, method, headerText, body) {
        const headers = parsedHeaders(headerText);
        const verb = method || 'GET';
        if (!url.startsWith('weft://') && !url.startsWith('/')) {
            if (this.#sources.length > maxFetches) throw new Misuse('it fetches too much');
            const found = this.#content(url, verb, body);
            const answer = found?.read ? { status: 200, body: found } : { status: 404, body: nothing };
            return { ...answer, headers: new Map(), reserved: 0n, used: 0n };
        }
        const given = headers.get('weft-gas');
        if (given !== undefined && (!/^(0|[1-9][0-9]*)$/.test(given) || BigInt(given) >> 63n !== 0n)) {
            throw new Misuse('weft-gas is no number');
        }
        const reserved = given === undefined ? this.left / 2n : BigInt(given);
        this.left -= reserved;
        this.#checkGas();
        if (this.#sources.length > maxFetches) throw new Misuse('it fetches too much');
        const call = {
            ...parsedURL(url.startsWith('/') ? `weft://${this.call.contract}${url}` : url),
            method: verb, headers: reaching(headers), body: bytesContent(body), gas: reserved,
        };
        checkCall({ ...call, headers });
        if (this.depth + 1 >= maxDepth) throw new Resource('calls within calls beyond 64');
        const answer = runCall(this.host, call, this.depth + 1);
        if (answer.outcome !== Outcome.ok) {
            // Outcomes count `resource` before `trap`; a contract never sees the former.
            const status = Math.min(answer.outcome, 3);
            return { status, headers: new Map(), body: nothing, reserved, used: answer.gas };
        }
        return {
            status: answer.status, headers: new Map(answer.headers),
            body: bytesContent(answer.body), reserved, used: answer.gas,
        };
    }

    /** The content that a URL leads to; undefined if there is none below its CID. */
    #content(url, verb, body) {
        const match = /^ipfs:\/\/([a-zA-Z0-9]+)(\/[^?#]*)?$/.exec(url);
        if (!match || !isCID(match[1]) || (verb !== 'GET' && verb !== 'HEAD') || body.length > 0) {
            throw new Misuse('a URL or method is none that can be fetched');
        }
        let found = this.host.content(match[1]);
        for (const name of decoded(match[2] ?? '').split('/')) {
            if (name !== '') found = found?.entries?.get(name);
        }
        return found;
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
                this.payBytes(length >>> 0);
                this.fillWithSeed(this.range(out, length));
            },
        };
    }
}

/** A header's value without spaces around it. */
function trimmed(value) {
    return value.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** How many bytes of a body there are from an offset on, of as many as are wanted. */
function available(body, offset, wanted) {
    if (offset < 0n || offset >= BigInt(body.size) || wanted <= 0n) return 0;
    const rest = BigInt(body.size) - offset;
    return Number(wanted < rest ? wanted : rest);
}

/** The export that a path names. */
function methodName(path) {
    const name = path.split('/')[1] || 'index';
    return /^[a-z][a-z0-9-]*$/.test(name) ? name : undefined;
}

/** The parts of a URL `weft://<cid>/path?query`. */
export function parsedURL(url) {
    const match = /^weft:\/\/([a-zA-Z0-9]+)(\/[^?#]*)?(\?[^#]*)?$/.exec(url);
    if (!match || !isCID(match[1])) throw new Misuse(`no URL of a contract: ${url}`);
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
export function parsedHeaders(text) {
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
