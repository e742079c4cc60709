// Runs calls of contracts under node, as `weft contract test` asks for them: the second engine, which
// has to give the same output, status and gas as the first. Reads a job as JSON from the file that is
// named, and writes one line of JSON for each of its calls. Bytes are in base64, gas in decimals.
//
// A job has contracts: { CID: { file, instantiationGas } }, content: { CID: path of a file or folder }
// and calls: [{ url, method, headers: [[name, value]], body, gas }]. An answer has outcome, gas, and
// status, headers and body if the outcome is 0; `profile` has by the contract's CID the gas of its
// instances, of the host's functions, and of each function by number, if the module counts that.

import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, readSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
    bytesContent, contractOf, parsedURL, reaching, Resource, runCall, trimmed,
} from './contract.mjs';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const compiled = new Map();
/** The gas of one call, by contract, and by function or what else it went to. */
let profile;

/** A file that is read by ranges, or a folder. */
function content(path) {
    if (statSync(path).isDirectory()) {
        const names = readdirSync(path, { encoding: 'utf8' });
        // The order of the links of a UnixFS directory is that of their bytes.
        names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        return { entries: new Map(names.map((name) => [name, content(join(path, name))])) };
    }
    return {
        size: statSync(path).size,
        read: (offset, count) => {
            const file = openSync(path);
            const bytes = Buffer.alloc(Math.min(count, Math.max(0, fstatSync(file).size - offset)));
            readSync(file, bytes, 0, bytes.length, offset);
            closeSync(file);
            return bytes;
        },
    };
}

const host = {
    contract(cid) {
        const entry = job.contracts[cid];
        if (!entry) throw new Resource(`contract ${cid} is not here`);
        if (!compiled.has(cid)) {
            compiled.set(
                cid, contractOf(readFileSync(entry.file), BigInt(entry.instantiationGas)));
        }
        return compiled.get(cid);
    },
    content(cid) {
        if (!(cid in job.content)) throw new Resource(`content ${cid} is not here`);
        return content(job.content[cid]);
    },
    sha256: (bytes) => createHash('sha256').update(bytes).digest(),
    finished({ call: { contract }, exports, spent }) {
        if (!exports) return;
        const counts = (profile[contract] ??= {});
        const add = (name, gas) => { counts[name] = `${BigInt(counts[name] ?? 0) + gas}`; };
        add('instances', BigInt(job.contracts[contract].instantiationGas));
        for (const [name, gas] of spent) add(name, gas);
        for (const [name, global] of Object.entries(exports)) {
            const isCount = name.startsWith('weft:profile/') && global.value !== 0n;
            if (isCount) add(name.slice('weft:profile/'.length), global.value);
        }
    },
};

/** The headers of a call, as nodes have them: those of one name joined, what is no name left out. */
function callHeaders(pairs) {
    const headers = new Map();
    for (const [name, value] of pairs) {
        const key = name.toLowerCase();
        if (!/^[0-9a-z!#$%&'*+.^_`|~-]+$/.test(key)) continue;
        const before = headers.get(key);
        headers.set(key, before === undefined ? trimmed(value) : `${before}, ${trimmed(value)}`);
    }
    return reaching(headers);
}

for (const { url, method, headers, body, gas } of job.calls) {
    profile = {};
    let answer;
    try {
        answer = runCall(host, {
            ...parsedURL(url), method, headers: callHeaders(headers),
            body: bytesContent(Buffer.from(body, 'base64')), gas: BigInt(gas),
        });
    } catch (error) {
        if (!(error instanceof Resource)) throw error;
        answer = { outcome: 3, gas: 0n, reason: error.message };
    }
    const { body: output, ...rest } = answer;
    console.log(JSON.stringify({
        ...rest, gas: `${answer.gas}`, profile,
        body: output === undefined ? undefined : Buffer.from(output).toString('base64'),
    }));
}
