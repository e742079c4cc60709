// A thin JavaScript door to weft-contracts.wasm: strings and byte arrays in, byte arrays out.

export const codecs = {
    cbor: 0x51, raw: 0x55, 'dag-pb': 0x70, 'dag-cbor': 0x71, 'dag-json': 0x0129, json: 0x0200,
};

/** Compiles the module and returns its functions. Each throws an Error that says what is wrong. */
export async function loadCore(wasm) {
    let memory;
    const { instance } = await WebAssembly.instantiate(wasm, {
        weft: {
            random: (pointer, count) => {
                crypto.getRandomValues(new Uint8Array(memory.buffer, pointer, count));
            },
        },
    });
    const core = instance.exports;
    memory = core.memory;

    const place = (bytes) => {
        const pointer = core.weft_allocate(bytes.length);
        if (pointer === 0) throw new Error('the module is out of memory');
        new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
        return pointer;
    };
    // Calls a function with byte arrays as (pointer, length) pairs and numbers as they are.
    const call = (name, ...parameters) => {
        const placed = [];
        try {
            const flat = parameters.flatMap((parameter) => {
                if (typeof parameter === 'number') return [parameter];
                placed.push(place(parameter));
                return [placed.at(-1), parameter.length];
            });
            const reply = core[name](...flat);
            if (reply === 0) throw new Error('the module is out of memory');
            placed.push(reply);
            const header = new DataView(memory.buffer, reply, 8);
            const answer = new Uint8Array(memory.buffer, reply + 8, header.getUint32(4, true)).slice();
            if (header.getUint32(0, true) !== 0) throw new Error(new TextDecoder().decode(answer));
            return answer;
        } finally {
            placed.forEach((pointer) => core.weft_free(pointer));
        }
    };
    const utf8 = (text) => new TextEncoder().encode(text);
    const text = (bytes) => new TextDecoder().decode(bytes);

    return {
        memory,
        /** The binary form of a CID's text. */
        parseCID: (cid) => call('weft_cid_parse', utf8(cid)),
        /** The text of a CID's binary form; `base` is a multibase prefix such as 'z'. */
        formatCID: (cid, base = '') => text(
            call('weft_cid_format', cid, base === '' ? 0 : base.charCodeAt(0))),
        /** Throws unless the block hashes to the CID. */
        verifyBlock: (cid, block) => { call('weft_block_verify', cid, block); },
        /** A block of one codec written in another. */
        convertBlock: (block, from, to) => call('weft_block_convert', block, codecs[from], codecs[to]),
        /** A contract's module, checked and instrumented for this engine, and what an instance costs. */
        instrument: (module) => {
            const answer = call('weft_contract_instrument', module);
            const gas = new DataView(answer.buffer, answer.byteOffset).getBigUint64(0, true);
            return { module: answer.subarray(8), instantiationGas: gas };
        },
    };
}
