// What is fuzzed: each parser of bytes that a stranger can send. A decoder of a canonical format
// must give back the very bytes it was fed when its value is encoded again.

import IPLD
import Multiformats
import Wire

/// A parser under test, which only has to return.
typealias Target = @Sendable (RawSpan) -> Void

/// The parsers by name.
let targets: [String: Target] = exchangeTargets.merging(formatTargets) { first, _ in first }

private let formatTargets: [String: Target] = [
    "cid": { bytes in
        guard let cid = try? CID(decoding: bytes) else { return }
        if cid.bytes != [UInt8](bytes) { violated("a CID's bytes round-trip") }
        if (try? CID(text: cid.description)) != cid { violated("a CID's text round-trips") }
    },
    "cid-text": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        guard let cid = try? CID(text: text) else { return }
        if (try? CID(decoding: cid.bytes.span.bytes)) != cid { violated("a parsed CID is valid") }
    },
    "multiaddr": { bytes in
        guard let address = try? Multiaddr(decoding: bytes) else { return }
        if address.bytes != [UInt8](bytes) { violated("a multiaddr's bytes round-trip") }
        if (try? Multiaddr(text: address.description)) != address {
            violated("a multiaddr's text round-trips")
        }
    },
    "multiaddr-text": { bytes in
        let text = String(decoding: [UInt8](bytes), as: UTF8.self)
        guard let address = try? Multiaddr(text: text) else { return }
        if (try? Multiaddr(decoding: address.bytes.span.bytes)) != address {
            violated("a parsed multiaddr is valid")
        }
    },
    "key": { bytes in
        guard let key = try? PublicKey(decoding: bytes) else { return }
        _ = key.verify(signature: [UInt8](bytes), of: [1, 2, 3])
    },
    "dag-cbor": { canonical($0, .dagCBOR) },
    "dag-json": { bytes in
        // White space is accepted, so only what is written by us is canonical.
        guard let value = try? DagJSON.decode(bytes) else { return }
        guard let written = try? DagJSON.encode(value) else {
            violated("a decoded value can be encoded")
        }
        canonical(written.span.bytes, .dagJSON)
    },
    "dag-pb": { bytes in
        // Either order of links and data is accepted, and any order of links.
        guard let node = try? PBNode(decoding: bytes) else { return }
        if (try? PBNode(decoding: node.encoded().span.bytes)) != node {
            violated("a dag-pb node round-trips")
        }
        if (try? PBLayout(decoding: bytes)) == nil { violated("a node has a layout") }
        if (try? IPLDCodec.links(in: bytes, codec: .dagPB)) != node.links.map(\.hash) {
            violated("links can be listed")
        }
    },
    "cbor": { _ = try? CBOR.decode($0) },
    "json": { _ = try? JSON.decode($0) },
    "unixfs": { bytes in
        guard let node = try? UnixFSNode(decoding: bytes) else { return }
        if (try? UnixFSNode(decoding: node.encoded().span.bytes)) == nil, node.kind != .raw {
            violated("a UnixFS node can be encoded")
        }
    },
    "walk": walk,
    "car": car,
    "car-index": { bytes in
        guard let index = try? CARIndex(decoding: bytes) else { return }
        _ = index.offset(of: Multihash.sha2_256(of: bytes), in: bytes)
    },
    "ipns": { bytes in
        guard let record = try? IPNSRecord(decoding: bytes) else { return }
        let key = PeerID(PrivateKey.generateEd25519().publicKey)
        if (try? record.validate(for: key, at: Timestamp(seconds: 0))) != nil {
            violated("nobody can sign for a new key")
        }
    },
]

/// Decodes strictly, then compares the encoding of the value with the input.
private func canonical(_ bytes: RawSpan, _ codec: Codec) {
    guard let value = try? IPLDCodec.decode(bytes, codec: codec) else { return }
    let again = try? IPLDCodec.encode(value, codec: codec)
    if again != [UInt8](bytes) { violated("an accepted block is canonical") }
    if (try? IPLDCodec.links(in: bytes, codec: codec)) == nil { violated("links can be listed") }
}

/// Lets every reader walk a DAG in which each link leads back to the input, which is the worst that
/// a provider without hashes could do.
@Sendable private func walk(_ bytes: RawSpan) {
    let block = [UInt8](bytes)
    let root = CID(.dagPB, Multihash.sha2_256(of: bytes))
    var file = FileReader(root: root)
    file: for _ in 0..<1000 {
        switch file.next() {
        case .block: if (try? file.supply(block.span.bytes)) == nil { break file }
        case .done: break file
        default: continue
        }
    }
    var directory = DirectoryReader(root: root)
    directory: for _ in 0..<1000 {
        switch directory.next() {
        case .block: if (try? directory.supply(block.span.bytes)) == nil { break directory }
        case .done: break directory
        default: continue
        }
    }
    var resolver = PathResolver(root: root, path: ["a", "b"])
    resolver: for _ in 0..<1000 {
        guard case .block = resolver.next() else { break resolver }
        if (try? resolver.supply(block.span.bytes)) == nil { break resolver }
    }
}

/// Reads an archive to its end; each step must consume something or ask for more.
@Sendable private func car(_ bytes: RawSpan) {
    let input = [UInt8](bytes)
    var reader = CARReader()
    var offset = 0
    while offset <= input.count {
        let rest = input.span.bytes.extracting(offset..<input.count)
        guard let step = try? reader.next(rest) else { return }
        switch step {
        case .needMore: return
        case .header(_, let consumed), .section(_, _, let consumed):
            if consumed == 0 { violated("a step of a CAR consumes something") }
            offset += consumed
        case .skip(let count):
            guard count > 0, count <= UInt64(input.count - offset) else { return }
            offset += Int(count)
        case .end: return
        }
    }
}
