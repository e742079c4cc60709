// WASI preview 1 for contracts that are commands, under the CGI convention (docs/contracts.md): the
// arguments are the path, standard input is the request's body, standard output the response's. A
// read-only folder is the content that the request names. Clocks stand still; randomness follows
// from the call.

import { Misuse, Resource } from './contract.mjs';

const errno = {
    success: 0, badf: 8, inval: 28, isdir: 31, mfile: 33, noent: 44, nosys: 52, notdir: 54,
    rofs: 69, spipe: 70, notcapable: 76,
};
/** The kinds of file that there are: streams are unknown. */
const kinds = { unknown: 0, folder: 3, file: 4 };
/** Asking for one of these is asking to change the folder: create, exclusive, truncate. */
const changingFlags = 0b1101;
const folderFlag = 0b10;
/** The rights of each kind of descriptor, and of what is opened in a folder. */
const rights = {
    input: [1n << 1n, 0n],
    output: [1n << 6n, 0n],
    file: [1n << 1n | 1n << 2n | 1n << 5n | 1n << 7n | 1n << 21n, 0n],
    folder: [
        1n << 13n | 1n << 14n | 1n << 18n | 1n << 21n,
        1n << 1n | 1n << 2n | 1n << 5n | 1n << 7n | 1n << 13n | 1n << 14n | 1n << 18n | 1n << 21n,
    ],
};
/** Bytes of standard error that are kept. */
const maxErrors = 64 << 10;
/** Descriptors that are open at a time. */
const maxFiles = 256;
/** Buffers of one call. */
const maxBuffers = 1_024;
/** Bytes of the head of an output. */
const maxHead = 16 << 10;

const encoder = new TextEncoder();

/** Ends a command with its exit code. */
class Exit extends Error {
    constructor(code) {
        super(`exit ${code}`);
        this.code = code;
    }
}

/** The functions of WASI for one activation. Contracts that are no commands see nothing by them. */
export class Commands {
    #run;
    #isCommand;
    #files = new Map();
    #arguments = [];
    #environment = [];
    #root;
    #exitCode = 0;

    constructor(run, isCommand) {
        this.#run = run;
        this.#isCommand = isCommand;
        if (!isCommand) return;
        const { call, host, headers } = run;
        this.#arguments = ['contract', ...call.path.split('/').filter((segment) => segment !== '')];
        this.#environment = environment(call, headers);
        this.#files.set(0, { kind: 'input', content: call.body, offset: 0 });
        this.#files.set(1, { kind: 'output', offset: 0 });
        this.#files.set(2, { kind: 'output', offset: 0 });
        if (run.folder === undefined) return;
        const content = host.content(run.folder);
        this.#root = content.entries ? content : { entries: new Map([['content', content]]) };
        this.#files.set(3, { kind: 'folder', way: [], content: this.#root, isRoot: true, offset: 0 });
    }

    /** Runs `_start` to its end, or to its exit. */
    run(start) {
        try {
            start();
        } catch (error) {
            if (!(error instanceof Exit)) throw error;
            this.#exitCode = error.code;
        }
    }

    /** The header lines with which an output begins, if it does: status, headers, length in bytes. */
    head(output) {
        if (!this.#isCommand) return undefined;
        if (this.#exitCode !== 0) {
            return { status: 500, headers: [['weft-exit', `${this.#exitCode}`]], length: 0 };
        }
        const text = new TextDecoder('latin1').decode(output.subarray(0, maxHead));
        const match = /^((?:Content-Type|Status):.*?\r?\n)\r?\n/s.exec(text);
        if (!match) return undefined;
        const head = { status: 200, headers: [], length: match[0].length };
        let lines;
        try {
            lines = new TextDecoder('utf-8', { fatal: true }).decode(output.subarray(0, match[1].length));
        } catch {
            return undefined;
        }
        for (const line of lines.split('\n').slice(0, -1)) {
            const parts = /^([0-9A-Za-z_-]{1,64}): *([^\x00-\x08\x0a-\x1f\x7f]*?)\r?$/.exec(line);
            if (!parts || head.headers.length >= 32) return undefined;
            const name = parts[1].toLowerCase();
            if (name !== 'status') {
                head.headers.push([name, parts[2]]);
                continue;
            }
            const number = /^[2-5][0-9][0-9](?= |$)/.exec(parts[2]);
            if (!number) return undefined;
            head.status = Number(number[0]);
        }
        return head;
    }

    // MARK: - Files

    /** What a path below an open folder names, or an error number. */
    #find(descriptor, path) {
        const open = this.#files.get(descriptor);
        if (!open) return errno.badf;
        if (open.kind !== 'folder') return errno.notdir;
        if (path === '') return errno.noent;
        if (path.startsWith('/')) return errno.notcapable;
        const way = [...open.way];
        for (const name of path.split('/')) {
            if (name === '' || name === '.') continue;
            if (name !== '..') way.push(name);
            else if (way.pop() === undefined) return errno.notcapable;
        }
        this.#run.payLookups(way.length);
        let content = this.#root;
        for (const name of way) {
            content = content?.entries?.get(name);
            if (!content) return errno.noent;
        }
        return { content, way };
    }

    #putStatus(kind, size, out) {
        this.#put64([0n, 0n, BigInt(kind), 1n, BigInt(size), 0n, 0n, 0n], out);
    }

    /** The buffers that a list of addresses and lengths names. */
    #buffers(list, count) {
        if (count >>> 0 > maxBuffers) throw new Misuse('a list of buffers is too long');
        const pairs = this.#run.range(list, (count >>> 0) * 8);
        const view = new DataView(pairs.buffer, pairs.byteOffset, pairs.byteLength);
        const buffers = [];
        for (let at = 0; at < pairs.byteLength; at += 8) {
            buffers.push(this.#run.range(view.getUint32(at, true), view.getUint32(at + 4, true)));
        }
        return buffers;
    }

    #put32(numbers, out) {
        const room = this.#run.range(out, 4 * numbers.length);
        const view = new DataView(room.buffer, room.byteOffset, room.byteLength);
        numbers.forEach((number, index) => view.setUint32(4 * index, number, true));
        return errno.success;
    }

    #put64(numbers, out) {
        const room = this.#run.range(out, 8 * numbers.length);
        const view = new DataView(room.buffer, room.byteOffset, room.byteLength);
        numbers.forEach((number, index) => view.setBigUint64(8 * index, number, true));
        return errno.success;
    }

    /** Strings as a list of addresses and a buffer, each with a zero at its end. */
    #putStrings(strings, list, buffer) {
        const all = strings.map((text) => encoder.encode(`${text}\0`));
        const bytes = Uint8Array.from(all.flatMap((string) => [...string]));
        this.#run.payBytes(bytes.length);
        let at = buffer >>> 0;
        this.#put32(all.map((string) => {
            const start = at;
            at += string.length;
            return start;
        }), list);
        this.#run.place(bytes, buffer, bytes.length);
        return errno.success;
    }

    #putSizes(strings, count, size) {
        this.#put32([strings.length], count);
        const bytes = strings.reduce((sum, text) => sum + encoder.encode(text).length + 1, 0);
        return this.#put32([bytes], size);
    }

    #read(descriptor, list, count, place, out) {
        const open = this.#files.get(descriptor);
        if (!open) return errno.badf;
        if (open.kind === 'folder') return errno.isdir;
        if (open.kind === 'output') return errno.notcapable;
        if (place !== undefined && place < 0n) return errno.inval;
        const { size } = open.content;
        const start = place === undefined ? open.offset : place > BigInt(size) ? size : Number(place);
        const buffers = this.#buffers(list, count);
        const room = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
        const length = Math.max(0, Math.min(room, size - start));
        this.#run.payBytes(length);
        const bytes = length > 0 ? open.content.read(start, length) : new Uint8Array();
        let done = 0;
        for (const buffer of buffers) {
            const part = bytes.subarray(done, done + buffer.length);
            buffer.set(part);
            done += part.length;
        }
        if (place === undefined) open.offset = start + length;
        return this.#put32([length], out);
    }

    #write(descriptor, list, count, out) {
        const open = this.#files.get(descriptor);
        if (!open) return errno.badf;
        if (open.kind !== 'output') return errno.notcapable;
        const buffers = this.#buffers(list, count);
        const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
        this.#run.payBytes(length);
        for (const buffer of buffers) {
            if (descriptor === 1) this.#run.append(buffer);
            else this.#appendError(buffer);
        }
        return this.#put32([length], out);
    }

    #appendError(bytes) {
        const room = Math.max(0, maxErrors - this.#run.errors.length);
        this.#run.errors += new TextDecoder().decode(bytes.slice(0, room));
    }

    #open(folder, path, length, flags, base, out) {
        this.#run.payBytes(length >>> 0);
        const text = this.#run.text(path, length);
        if ((flags & changingFlags) !== 0 || (base & 1n << 6n) !== 0n) return errno.rofs;
        const found = this.#find(folder, text);
        if (typeof found === 'number') return found;
        const kind = found.content.entries ? 'folder' : 'file';
        if ((flags & folderFlag) !== 0 && kind === 'file') return errno.notdir;
        if (this.#files.size >= maxFiles) return errno.mfile;
        let number = 3;
        while (this.#files.has(number)) number += 1;
        this.#files.set(number, { kind, ...found, offset: 0 });
        return this.#put32([number], out);
    }

    #seek(descriptor, offset, whence, out) {
        const open = this.#files.get(descriptor);
        if (!open) return errno.badf;
        if (open.kind !== 'file') return errno.spipe;
        const from = [0n, BigInt(open.offset), BigInt(open.content.size)][whence];
        if (from === undefined || from + offset < 0n || from + offset >= 1n << 63n) return errno.inval;
        if (from + offset > BigInt(Number.MAX_SAFE_INTEGER)) throw new Resource('a place beyond 2^53');
        open.offset = Number(from + offset);
        return this.#put64([from + offset], out);
    }

    // MARK: - The functions

    imports() {
        const functions = {
            args_get: (list, buffer) => this.#putStrings(this.#arguments, list, buffer),
            args_sizes_get: (count, size) => this.#putSizes(this.#arguments, count, size),
            environ_get: (list, buffer) => this.#putStrings(this.#environment, list, buffer),
            environ_sizes_get: (count, size) => this.#putSizes(this.#environment, count, size),
            clock_res_get: (clock, out) => this.#put64([1n], out),
            clock_time_get: (clock, precision, out) => this.#put64([0n], out),
            proc_exit: (code) => {
                if (!this.#isCommand) throw new Misuse('only a command has an exit');
                throw new Exit(code >>> 0);
            },
            random_get: (out, length) => {
                this.#run.fillWithSeed(out, length);
                return errno.success;
            },
            sched_yield: () => errno.success,
            fd_read: (file, list, count, out) => this.#read(file, list, count, undefined, out),
            fd_pread: (file, list, count, place, out) => this.#read(file, list, count, place, out),
            fd_write: (file, list, count, out) => this.#write(file, list, count, out),
            fd_seek: (file, offset, whence, out) => this.#seek(file, offset, whence, out),
            path_open: (folder, lookup, path, length, flags, base, inheriting, options, out) =>
                this.#open(folder, path, length, flags, base, out),
            path_filestat_get: (folder, lookup, path, length, out) => {
                this.#run.payBytes(length >>> 0);
                const found = this.#find(folder, this.#run.text(path, length));
                if (typeof found === 'number') return found;
                const { entries, size } = found.content;
                this.#putStatus(entries ? kinds.folder : kinds.file, entries ? 0 : size, out);
                return errno.success;
            },
            ...this.#descriptorFunctions(),
        };
        for (const name of unavailable) functions[name] = () => errno.nosys;
        for (const [name, body] of Object.entries(functions)) {
            functions[name] = (...parameters) => {
                this.#run.payCall();
                return body(...parameters);
            };
        }
        return functions;
    }

    #descriptorFunctions() {
        const known = (work) => (descriptor, ...rest) => {
            const open = this.#files.get(descriptor);
            return open ? work(open, ...rest) : errno.badf;
        };
        const kind = (open) => kinds[open.kind] ?? kinds.unknown;
        return {
            fd_advise: known(() => errno.success),
            fd_datasync: known(() => errno.success),
            fd_sync: known(() => errno.success),
            fd_close: (descriptor) => (this.#files.delete(descriptor) ? errno.success : errno.badf),
            fd_fdstat_get: known((open, out) =>
                this.#put64([BigInt(kind(open)), ...rights[open.kind]], out)),
            fd_filestat_get: known((open, out) => {
                this.#putStatus(kind(open), open.content?.size ?? 0, out);
                return errno.success;
            }),
            fd_prestat_get: known((open, out) => (open.isRoot ? this.#put32([0, 1], out) : errno.badf)),
            fd_prestat_dir_name: known((open, out, length) => {
                if (!open.isRoot) return errno.badf;
                this.#run.place(encoder.encode('/'), out, length);
                return errno.success;
            }),
            fd_tell: known((open, out) => this.#put64([BigInt(open.offset)], out)),
            fd_readdir: known((open, out, length, cookie, used) => {
                if (open.kind !== 'folder') return errno.notdir;
                this.#run.payLookups(open.way.length);
                const from = BigInt.asUintN(64, cookie);
                const bytes = listing(
                    open.content.entries, from, length >>> 0, () => this.#run.payLookups(1));
                this.#run.payBytes(bytes.length);
                this.#run.place(bytes, out, length);
                return this.#put32([bytes.length], used);
            }),
        };
    }
}

/** The functions that change something or wait for something: no contract can. */
const unavailable = [
    'fd_allocate', 'fd_fdstat_set_flags', 'fd_fdstat_set_rights', 'fd_filestat_set_size',
    'fd_filestat_set_times', 'fd_pwrite', 'fd_renumber', 'path_create_directory',
    'path_filestat_set_times', 'path_link', 'path_readlink', 'path_remove_directory', 'path_rename',
    'path_symlink', 'path_unlink_file', 'poll_oneoff', 'proc_raise', 'sock_accept', 'sock_recv',
    'sock_send', 'sock_shutdown',
];

/** The variables of CGI (RFC 3875). */
function environment({ method, path, query, body }, headers) {
    const variables = [`REQUEST_METHOD=${method}`, `PATH_INFO=${path}`, `QUERY_STRING=${query}`];
    if (headers.has('content-type')) variables.push(`CONTENT_TYPE=${headers.get('content-type')}`);
    if (body.size > 0) variables.push(`CONTENT_LENGTH=${body.size}`);
    for (const [name, value] of headers) {
        if (name === 'content-type') continue;
        variables.push(`HTTP_${name.toUpperCase().replaceAll('-', '_')}=${value}`);
    }
    return variables;
}

/** The entries of a folder from a cookie on, as many bytes as fit; each is paid. */
function listing(entries, cookie, length, pay) {
    const out = [];
    let index = 0n;
    for (const [name, content] of entries) {
        index += 1n;
        if (index <= cookie) continue;
        if (out.length >= length) break;
        pay();
        const bytes = encoder.encode(name);
        const entry = new DataView(new ArrayBuffer(24));
        entry.setBigUint64(0, index, true);
        entry.setUint32(16, bytes.length, true);
        entry.setUint8(20, content.entries ? kinds.folder : kinds.file);
        out.push(...new Uint8Array(entry.buffer), ...bytes);
    }
    return Uint8Array.from(out.slice(0, length));
}
