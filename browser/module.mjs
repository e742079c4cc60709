// A module as rehearsals run it, and a clock that goes forward when nothing else is to be done.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const decoder = new TextDecoder();

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

export const clock = { now: 1 };

let draws = 0;

/**
 * Fills memory with bytes that look like chance and are the same in each rehearsal: what is rehearsed
 * decides where a module is cut, and builds of the same code are to be the same.
 */
export function fillRandom(bytes) {
    for (let at = 0; at < bytes.length; at += 32) {
        draws += 1;
        bytes.set(sha256(`draw ${draws}`).subarray(0, bytes.length - at), at);
    }
    return bytes;
}

/** A module that runs. */
export class Module {
    /** What exports are called that do what is due, and say when. */
    constructor(advance, deadline) { Object.assign(this, { advance, deadline, due: Infinity }); }

    async load(file, imports) {
        const { instance } = await WebAssembly.instantiate(readFileSync(file), { weft: imports });
        this.exports = instance.exports;
        return this;
    }

    view(pointer, count) { return new Uint8Array(this.exports.memory.buffer, pointer, count); }

    run(name, ...parameters) {
        const placed = [];
        const flat = parameters.flatMap((parameter) => {
            if (typeof parameter === 'number') return [parameter];
            const pointer = this.exports.weft_allocate(parameter.length);
            this.view(pointer, parameter.length).set(parameter);
            placed.push(pointer);
            return [pointer, parameter.length];
        });
        const answer = this.exports[`weft_${name}`](...flat);
        for (const pointer of placed) this.exports.weft_free(pointer);
        // After each call pages ask when the next is due.
        this.due = this.exports[`weft_${this.deadline}`]();
        return answer;
    }

    ask(name, ...parameters) {
        const reply = this.run(name, ...parameters);
        const [status, count] = new Uint32Array(this.view(reply, 8).slice().buffer);
        const answer = Buffer.from(this.view(reply + 8, count).slice());
        this.exports.weft_free(reply);
        if (status !== 0) throw new Error(decoder.decode(answer));
        return answer;
    }

    /** Writes down which functions were called. */
    writeProfile(file) {
        const room = 1 << 20;
        const pointer = this.exports.weft_allocate(room);
        const length = this.exports.__write_profile(pointer, room);
        assert.ok(length <= room, 'the profile is too long');
        writeFileSync(file, this.view(pointer, length).slice());
    }
}

/** Goes on with what these modules do until something is so. */
export async function until(isSo, modules, next) {
    for (let steps = 0; !isSo(); steps += 1) {
        assert.ok(steps < 100_000, 'the rehearsal gets stuck');
        const work = next();
        if (work !== undefined) {
            work();
            continue;
        }
        const due = Math.min(...modules.map((module) => module.due));
        assert.ok(Number.isFinite(due), 'nothing is due');
        clock.now = Math.max(clock.now, Math.ceil(due));
        for (const module of modules) if (module.due <= clock.now) module.run(module.advance, clock.now);
    }
}

/** Bytes as text of base32 with its prefix, as CIDs are. */
export function base32(bytes) {
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
    const digits = bits.match(/.{1,5}/g).map((five) => parseInt(five.padEnd(5, '0'), 2));
    return 'b' + digits.map((digit) => 'abcdefghijklmnopqrstuvwxyz234567'[digit]).join('');
}
