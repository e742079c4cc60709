// IPNS records: the published accept and reject matrix, what each forgery runs into, selection.
// All of them need signatures, so they run where a cryptographic library is compiled in.

import Foundation
import IPLD
import Multiformats
import Testing
import Wire

#if HostCrypto
    private let now = Timestamp(seconds: 1_780_000_000)
    private let minute: UInt64 = 60_000_000_000

    /// A published record and what the specification says of it.
    struct PublishedRecord: CustomTestStringConvertible, Sendable {
        enum Verdict: Sendable {
            case valid(String)
            case unreadable(DecodeError.Kind)
            case badSignature
        }

        let file: String
        let verdict: Verdict

        var testDescription: String { file }

        static let all: [PublishedRecord] = [
            Self(
                file: "k51qzi5uqu5dlkw8pxuw9qmqayfdeh4kfebhmreauqdc6a7c3y7d5i9fi8mk9w_v1-v2",
                verdict: .valid("/ipfs/bafkqaddwgevxmmraojswg33smq")),
            Self(
                file: "k51qzi5uqu5dit2ku9mutlfgwyz8u730on38kd10m97m36bjt66my99hb6103f_v2",
                verdict: .valid("/ipfs/bafkqadtwgiww63tmpeqhezldn5zgi")),
            Self(
                file: "k51qzi5uqu5dilgf7gorsh9vcqqq4myo6jd4zmqkuy9pxyxi5fua3uf7axph4y_"
                    + "v1-v2-broken-signature-v1",
                verdict: .valid("/ipfs/bafkqahtwgevxmmrao5uxi2bamjzg623fnyqhg2lhnzqxi5lsmuqhmmi")),
            Self(
                file: "k51qzi5uqu5diamp7qnnvs1p1gzmku3eijkeijs3418j23j077zrkok63xdm8c_"
                    + "v1-v2-broken-signature-v2",
                verdict: .badSignature),
            Self(
                file: "k51qzi5uqu5dlmit2tuwdvnx4sbnyqgmvbxftl0eo3f33wwtb9gr7yozae9kpw_"
                    + "v1-v2-broken-v1-value",
                verdict: .unreadable(.mismatch)),
            Self(
                file: "k51qzi5uqu5dm4tm0wt8srkg9h9suud4wuiwjimndrkydqm81cqtlb5ak6p7ku_v1",
                verdict: .unreadable(.unsupported)),
            Self(
                file: "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d",
                verdict: .valid("/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am")
            ),
            Self(
                file: "QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3",
                verdict: .valid("/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am")
            ),
        ]

        var bytes: [UInt8] {
            get throws { try Vectors.bytes("ipns/\(file).ipns-record") }
        }

        var name: PeerID {
            get throws { try PeerID(text: String(file.prefix { $0 != "_" })) }
        }
    }

    @Suite struct IPNSRecordTests {
        @Test(
            "published records are judged as the specification says", arguments: PublishedRecord.all
        )
        func published(record: PublishedRecord) throws {
            let bytes = try record.bytes
            switch record.verdict {
            case .valid(let path):
                let read = try IPNSRecord(decoding: bytes.rawSpan)
                try read.validate(for: record.name, at: now)
                #expect(read.path == path)
                #expect(read.encoded == bytes)
            case .badSignature:
                let read = try IPNSRecord(decoding: bytes.rawSpan)
                #expect(throws: IPNSRecord.Invalidity.badSignature) {
                    try read.validate(for: record.name, at: now)
                }
            case .unreadable(let kind):
                let error = #expect(throws: DecodeError.self) {
                    try IPNSRecord(decoding: bytes.rawSpan)
                }
                #expect(error?.kind == kind)
            }
        }

        @Test("no truncation or mutation of a record is valid", arguments: PublishedRecord.all)
        func forged(record: PublishedRecord) throws {
            let valid = try record.bytes
            let name = try record.name
            guard case .valid(let path) = record.verdict else { return }
            let original = try IPNSRecord(decoding: valid.rawSpan)
            expectNoTrap(on: valid, seed: 3) { bytes in
                guard let read = try? IPNSRecord(decoding: bytes.rawSpan),
                    (try? read.validate(for: name, at: now)) != nil
                else { return }
                // Only what is not signed can have changed: the old signature.
                #expect(read.path == path)
                #expect(
                    read.sequence == original.sequence && read.validUntil == original.validUntil)
            }
        }

        @Test(
            "a record that is made reads back and holds", arguments: [IPNSRecord.Form.v1AndV2, .v2])
        func made(form: IPNSRecord.Form) throws {
            let key = PrivateKey.generateEd25519()
            let name = PeerID(key.publicKey)
            let until = now.adding(seconds: 48 * 3600)
            let record = try IPNSRecord(
                value: "/ipfs/bafkqaddwgevxmmraojswg33smq", sequence: 7, validUntil: until,
                ttlNanoseconds: 5 * minute, signingWith: key, form: form)
            let read = try IPNSRecord(decoding: record.encoded.rawSpan)
            #expect(read == record)
            #expect(read.sequence == 7 && read.ttlNanoseconds == 5 * minute)
            #expect(read.validUntil == until)
            try read.validate(for: name, at: now)
            #expect(throws: IPNSRecord.Invalidity.expired(until)) {
                try read.validate(for: name, at: until)
            }
            let other = PeerID(PrivateKey.generateEd25519().publicKey)
            #expect(throws: IPNSRecord.Invalidity.badSignature) {
                try read.validate(for: other, at: now)
            }
            #expect(record.encoded.count < (form == .v2 ? 200 : 340))
        }

        @Test("the old signature is made as old readers check it")
        func firstSignature() throws {
            let record = PublishedRecord.all[0]
            let fields = try fields(of: record.bytes)
            let key = try #require(try record.name.publicKey)
            let message = try #require(fields[1]) + (fields[4] ?? []) + Array("EOL".utf8)
            #expect(key.verify(signature: fields[2] ?? [], of: message))
            let ours = PrivateKey.generateEd25519()
            let made = try IPNSRecord(
                value: "/ipns/example.org", sequence: 0, validUntil: now, ttlNanoseconds: 0,
                signingWith: ours)
            let madeFields = try self.fields(of: made.encoded)
            #expect(
                ours.publicKey.verify(
                    signature: madeFields[2] ?? [],
                    of: (madeFields[1] ?? []) + (madeFields[4] ?? []) + Array("EOL".utf8)))
        }

        /// The length-delimited fields of a message.
        private func fields(of message: [UInt8]) throws -> [UInt64: [UInt8]] {
            var reader = ByteReader(message.rawSpan)
            var fields: [UInt64: [UInt8]] = [:]
            while let tag = try reader.readTag() {
                if tag.wireType == .bytes {
                    fields[tag.field] = [UInt8](try reader.readDelimited())
                } else {
                    try reader.skipValue(of: tag.wireType)
                }
            }
            return fields
        }

        @Test("a foreign key in the record is not taken for the name's")
        func wrongKey() throws {
            let key = PrivateKey.generateEd25519()
            let record = try IPNSRecord(
                value: "/ipfs/bafkqaaa", sequence: 1, validUntil: now.adding(seconds: 60),
                ttlNanoseconds: minute, signingWith: key, form: .v2)
            var bytes = record.encoded
            bytes.appendField(7, bytes: PrivateKey.generateEd25519().publicKey.encoded)
            let withForeignKey = try IPNSRecord(decoding: bytes.rawSpan)
            #expect(throws: IPNSRecord.Invalidity.wrongKey) {
                try withForeignKey.validate(for: PeerID(key.publicKey), at: now)
            }
            let hashed = try PeerID(Multihash.sha2_256(of: key.publicKey.encoded.rawSpan))
            #expect(throws: IPNSRecord.Invalidity.missingKey) {
                try record.validate(for: hashed, at: now)
            }
        }

        @Test("a record over 10 KiB is refused unread")
        func tooLarge() throws {
            let record = try IPNSRecord(
                value: "/ipfs/" + String(repeating: "a", count: 11_000), sequence: 1,
                validUntil: now,
                ttlNanoseconds: 0, signingWith: .generateEd25519(), form: .v2)
            let error = #expect(throws: DecodeError.self) {
                try IPNSRecord(decoding: record.encoded.rawSpan)
            }
            #expect(error?.kind == .overLimit)
        }

        @Test("the higher sequence wins, then the longer validity")
        func selection() throws {
            let key = PrivateKey.generateEd25519()
            func record(_ sequence: UInt64, _ seconds: Int64) throws -> IPNSRecord {
                try IPNSRecord(
                    value: "/ipfs/bafkqaaa", sequence: sequence,
                    validUntil: now.adding(seconds: seconds), ttlNanoseconds: minute,
                    signingWith: key)
            }
            #expect(try record(2, 10).isNewer(than: record(1, 1000)))
            #expect(try record(2, 11).isNewer(than: record(2, 10)))
            #expect(try !record(2, 10).isNewer(than: record(2, 10)))
            #expect(try !record(1, 1000).isNewer(than: record(2, 10)))
        }

        @Test func theRoutingKeyIsThePrefixAndTheMultihash() throws {
            let name = try PublishedRecord.all[0].name
            #expect(IPNSRecord.routingKey(of: name) == Array("/ipns/".utf8) + name.hash.bytes)
        }
    }

    @Suite struct DNSLinkTests {
        private static let cid = "bafkqaddwgevxmmraojswg33smq"

        @Test(
            "one valid link is found among other records",
            arguments: [
                (["dnslink=/ipfs/\(cid)"], "/ipfs/\(cid)"),
                (
                    ["v=spf1 -all", "dnslink=/ipfs/\(cid)/docs/", "dnslink=/swarm/x"],
                    "/ipfs/\(cid)/docs/"
                ),
                (["dnslink=/ipns/example.org/a"], "/ipns/example.org/a"),
                (
                    ["dnslink=/ipfs/notacid", "dnslink=", "dnslink=/ipns/en.example.org"],
                    "/ipns/en.example.org"
                ),
            ])
        func found(records: [String], path: String) throws {
            #expect(try DNSLink.parse(records) == path)
        }

        @Test(
            "what is no link leads nowhere",
            arguments: [
                [], ["dnslink"], ["dnslink=/"], ["dnslink=/ipfs/"], ["dnslink=ipfs/\(cid)"],
                ["dnslink=/ipns//a"], [" dnslink=/ipns/a"], ["dnslink=/ipfs/Qm1"],
                ["dnslink=/ipns/a b"], ["dnslink=/ipns/\u{e9}"],
            ] as [[String]])
        func missing(records: [String]) {
            #expect(throws: DNSLink.Fault.missing) { try DNSLink.parse(records) }
        }

        @Test func twoLinksAreAmbiguous() {
            #expect(throws: DNSLink.Fault.ambiguous) {
                try DNSLink.parse(["dnslink=/ipns/a", "dnslink=/ipns/b"])
            }
        }
    }
#endif
