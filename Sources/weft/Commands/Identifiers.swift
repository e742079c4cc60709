// weft cid: works on the text alone, without a repository

import ArgumentParser
import Gateway
import Glibc
import IPLD
import Multiformats
import NIOCore
import Weft

struct Identifier: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cid", abstract: "Convert and explain CIDs.",
        subcommands: [CIDFormat.self, CIDBase32.self, CIDInspect.self])

    /// The CIDs that are named, or those on standard input, one a line.
    static func all(_ arguments: [String]) throws -> [CID] {
        var texts = arguments
        if texts.isEmpty || texts == ["-"] {
            texts = []
            while let line = readLine() { if !line.isEmpty { texts.append(line) } }
        }
        return try texts.map { text in
            do {
                return try CID(text: text)
            } catch {
                throw CommandFailure("'\(text)' is not a CID: \(error)")
            }
        }
    }
}

/// The names of the bases, as the multibase table has them.
enum BaseName {
    private static let names: [(base: Multibase, name: String)] = [
        (.base2, "base2"), (.base8, "base8"), (.base10, "base10"), (.base16, "base16"),
        (.base16Upper, "base16upper"), (.base32, "base32"), (.base32Upper, "base32upper"),
        (.base32Pad, "base32pad"), (.base32PadUpper, "base32padupper"),
        (.base32Hex, "base32hex"), (.base32HexUpper, "base32hexupper"),
        (.base32HexPad, "base32hexpad"), (.base32HexPadUpper, "base32hexpadupper"),
        (.base32Z, "base32z"), (.base36, "base36"), (.base36Upper, "base36upper"),
        (.base58btc, "base58btc"), (.base58flickr, "base58flickr"), (.base64, "base64"),
        (.base64Pad, "base64pad"), (.base64URL, "base64url"), (.base64URLPad, "base64urlpad"),
    ]

    static var all: [String] { names.map(\.name) }

    static func name(of base: Multibase) -> String {
        names.first { $0.base == base }?.name ?? "unknown"
    }

    /// The base of a name or of a one-letter prefix.
    static func base(_ text: String) -> Multibase? {
        if let named = names.first(where: { $0.name == text }) { return named.base }
        return text.utf8.count == 1 ? text.utf8.first.flatMap { Multibase(prefix: $0) } : nil
    }
}

/// A base on the command line.
struct BaseArgument: ExpressibleByArgument {
    let base: Multibase

    init?(argument: String) {
        guard let base = BaseName.base(argument) else { return nil }
        self.base = base
    }

    static var allValueStrings: [String] { BaseName.all }
}

struct CIDFormat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "format",
        abstract: "Write CIDs in another version, base or form.",
        discussion: """
            In the format: %s the CID, %S the CID without its base's prefix, %P the prefix \
            (cidv1-raw-sha2-256-32), %b and %B the base's name and prefix, %v and %V the version, \
            %c and %C the codec's name and number, %h, %H and %L the hash's name, number and \
            length, %m and %M the multihash and %d and %D the digest with and without the base's \
            prefix, %% a percent sign. Without CIDs they are read from standard input. With \
            --json each line is an object with cid and formatted.


            """
                + Examples.text(
                    ("weft cid format -v 1 -b base36 CID", "write it as a subdomain"),
                    ("weft cid format -f '%c %h %d' CID", "print its parts")))

    @OptionGroup var common: CommonOptions

    @Option(name: .shortAndLong, help: "The form.")
    var format = "%s"

    @Option(
        name: [.customShort("b"), .customLong("base")],
        help: ArgumentHelp(
            "The base, such as base32, base36 or base58btc (default: the one it has).",
            valueName: "base"))
    var base: BaseArgument?

    @Option(name: [.customShort("v"), .customLong("cid-version")], help: "0 or 1.")
    var version: Int?

    @Option(help: "Another codec, such as raw or dag-cbor.")
    var codec: String?

    @Argument(help: "CIDs.")
    var cids: [String] = []

    func validate() throws {
        if let version, version != 0, version != 1 {
            throw ValidationError("there are CIDs of version 0 and 1 only")
        }
    }

    func run() throws {
        for (index, original) in try Identifier.all(cids).enumerated() {
            let cid = try converted(original)
            let usual = index < cids.count ? cids[index].utf8.first : nil
            let text = try CIDForm(cid, base: base?.base ?? Self.base(of: cid, written: usual))
                .text(format)
            let entry = Value.object([
                "cid": .string(original.description), "formatted": .string(text),
            ])
            try StandardOutput.line(common.json ? JSONText.text(of: entry) : text)
        }
    }

    private func converted(_ cid: CID) throws -> CID {
        var cid = cid
        if let codec {
            guard let named = Codec(name: codec) else {
                throw CommandFailure("'\(codec)' is no codec known here")
            }
            cid = CID(named, cid.hash)
        }
        switch version {
        case 1: return cid.v1
        case 0 where cid.version == .v1:
            guard cid.codec == .dagPB, let old = CID(v0: cid.hash) else {
                throw CommandFailure(
                    "\(cid) has no version 0: that is for dag-pb with a sha2-256 hash only")
            }
            return old
        default:
            // A base other than base58btc can only carry version 1.
            if let base, base.base != .base58btc, cid.version == .v0 { return cid.v1 }
            return cid
        }
    }

    /// The base that a CID was written in, else the usual one of its version.
    private static func base(of cid: CID, written prefix: UInt8?) -> Multibase {
        if cid.version == .v0 { return .base58btc }
        return prefix.flatMap { $0 == UInt8(ascii: "Q") ? nil : Multibase(prefix: $0) } ?? .base32
    }
}

/// A CID and the base to write it in.
struct CIDForm {
    private let cid: CID
    private let base: Multibase

    init(_ cid: CID, base: Multibase) {
        self.cid = cid
        self.base = base
    }

    /// The format with its `%` fields filled in.
    func text(_ format: String) throws -> String {
        var out = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                out.append(character)
                continue
            }
            guard let field = rest.popFirst(), let text = field == "%" ? "%" : text(of: field)
            else { throw CommandFailure("'\(format)' has an unknown field; see 'weft help cid'") }
            out += text
        }
        return out
    }

    private func text(of field: Character) -> String? {
        switch field {
        case "s": cid.text(in: base)
        case "S": cid.version == .v0 ? cid.description : base.encodeBody(cid.bytes)
        case "P": prefix
        case "b": BaseName.name(of: base)
        case "B": String(Character(Unicode.Scalar(base.prefix)))
        case "v": cid.version == .v0 ? "cidv0" : "cidv1"
        case "V": String(cid.version.rawValue)
        case "c": codec
        case "C": String(cid.codec.rawValue)
        case "h": hash
        case "H": String(cid.hash.code.rawValue)
        case "L": String(cid.hash.digest.count)
        case "m": base.encode(cid.hash.bytes)
        case "M": base.encodeBody(cid.hash.bytes)
        case "d": base.encode(cid.hash.digest)
        case "D": base.encodeBody(cid.hash.digest)
        default: nil
        }
    }

    var prefix: String {
        "\(cid.version == .v0 ? "cidv0" : "cidv1")-\(codec)-\(hash)-\(cid.hash.digest.count)"
    }

    var codec: String {
        cid.codec.name ?? "0x" + String(cid.codec.rawValue, radix: 16)
    }

    var hash: String {
        cid.hash.code.name ?? "0x" + String(cid.hash.code.rawValue, radix: 16)
    }
}

struct CIDBase32: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "base32",
        abstract: "Write CIDs in version 1 and base32.",
        discussion: Examples.text(("weft cid base32 Qm…", "print the form that URLs want")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "CIDs.")
    var cids: [String] = []

    func run() throws {
        for cid in try Identifier.all(cids) {
            let text = cid.text(in: .base32)
            let entry = Value.object([
                "cid": .string(cid.description), "formatted": .string(text),
            ])
            try StandardOutput.line(common.json ? JSONText.text(of: entry) : text)
        }
    }
}

struct CIDInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Explain the parts of CIDs.",
        discussion: """
            With --json an object with cid, version, base32, codec, codecNumber, hash, hashNumber, \
            length, digest (hexadecimal) and prefix is printed.


            """ + Examples.text(("weft cid inspect CID", "explain it")))

    @OptionGroup var common: CommonOptions

    @Argument(help: "CIDs.")
    var cids: [String] = []

    func run() throws {
        for cid in try Identifier.all(cids) {
            let form = CIDForm(cid, base: .base16)
            let value = Value.object([
                "cid": .string(cid.description),
                "version": .number(cid.version.rawValue),
                "base32": .string(cid.text(in: .base32)),
                "codec": .string(form.codec),
                "codecNumber": .number(cid.codec.rawValue),
                "hash": .string(form.hash),
                "hashNumber": .number(cid.hash.code.rawValue),
                "length": .number(cid.hash.digest.count),
                "digest": .string(Multibase.base16.encodeBody(cid.hash.digest)),
                "prefix": .string(form.prefix),
            ])
            if common.json {
                try StandardOutput.line(JSONText.text(of: value))
                continue
            }
            guard case .map(let entries) = value else { continue }
            for entry in entries {
                let text = entry.value.text ?? entry.value.count.map { String($0) } ?? ""
                try StandardOutput.line("\(StandardOutput.dim(entry.key.padded(to: 12))) \(text)")
            }
        }
    }
}
