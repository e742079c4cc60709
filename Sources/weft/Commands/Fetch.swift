// weft fetch

import ArgumentParser
import Gateway
import Glibc
import IPLD
import NIOCore
import Weft

struct Fetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch a URL, verified, as curl would.",
        discussion: """
            URLs are ipfs://CID/path, ipns://NAME/path, https://… with --integrity, and \
            weft://CID/method/… to call a contract, here or on a peer. Every byte of content is \
            checked against its hash before it is written. How an answer to a call was checked \
            says its header Weft-Confidence; -v or -i show it, with the gas, the record for 'weft \
            call show', and who computed it.

            An answer with a status of 400 or more is written too, and the exit code is 1; when \
            the deadline passes it is 124. It is 3 if a contract ran out of gas or trapped, which \
            it would do again, and 75 if a call could not be computed now. A failure prints what \
            was tried. With --json and -o an object with url, status, headers, bytes and path is \
            printed.


            """
                + Examples.text(
                    ("weft fetch ipfs://CID/film.mp4 -o film.mp4", "save a file"),
                    ("weft fetch -i ipns://example.org/", "show the head of the answer too"),
                    ("weft fetch -H 'Range: bytes=0-99' ipfs://CID", "fetch a part"),
                    ("weft fetch --trace --deadline 30s ipfs://CID", "show where it came from"),
                    ("weft fetch -v 'weft://CID/greet?name=Ada'", "call a contract"),
                    ("weft fetch --data-binary @in.png weft://CID/small", "send it a file"),
                    ("weft fetch --audit quorum:3 weft://CID/greet", "have three peers agree"),
                    (
                        "weft fetch --gas 5000000 --max-price 1000 weft://CID/greet",
                        "limit what it costs"
                    )))

    @OptionGroup var common: CommonOptions

    @Option(
        name: .shortAndLong, help: "Write to a file, which appears when it is complete.",
        completion: .file())
    var output: String?

    @Flag(name: .shortAndLong, help: "Write the head of the answer before its content.")
    var include = false

    @Flag(
        name: .shortAndLong,
        help: "Write the head of the answer to standard error; the content stays by itself.")
    var verbose = false

    @Flag(name: [.customShort("I"), .long], help: "Ask for the head alone.")
    var head = false

    @Option(name: [.customShort("X"), .customLong("request")], help: "The method.")
    var method: String?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: "A header field, such as 'Accept: text/html'; may occur again.")
    var headers: [String] = []

    @Option(
        name: .customLong("data-binary"),
        help: ArgumentHelp(
            "What to send: text, or @FILE for a file, or @- for standard input.",
            valueName: "data"))
    var data: String?

    @Option(help: "A hash that the content of an http(s) URL must have.")
    var integrity: String?

    @Option(help: "How stored content may be used: default, no-store, reload, only-if-cached, …")
    var cache: String?

    @Option(
        help: ArgumentHelp(
            "How peers' answers to a weft:// call are checked: sample, quorum:k, self or none.",
            valueName: "way"),
        completion: .list(["sample", "quorum:2", "quorum:3", "self", "none"]))
    var audit: String?

    @Option(
        help: ArgumentHelp(
            "The gas that a weft:// call may use; compute.gas if nothing is said.",
            valueName: "units"))
    var gas: UInt64?

    @Option(
        help: ArgumentHelp(
            "The most that a peer may want for a weft:// call, for 1,000 units of gas.",
            valueName: "credits"))
    var maxPrice: UInt32?

    @Option(
        help: ArgumentHelp(
            "What a wrong answer to a weft:// call would cost you; peers with a short history are"
                + " then avoided.",
            valueName: "credits"))
    var value: UInt64?

    @Option(help: "Give up after this time, such as 30s.")
    var deadline: DeadlineArgument?

    @Flag(help: "Print what was tried to standard error.")
    var trace = false

    @Argument(help: "The URL.")
    var url: String

    func validate() throws {
        if common.json, output == nil {
            throw ValidationError("--json needs -o: standard output has the content otherwise")
        }
        for header in headers where !header.contains(":") {
            throw ValidationError("'\(header)' is no header field; write 'Name: value'")
        }
        if let audit, Audit(text: audit) == nil {
            throw ValidationError(
                "--audit must be self, sample, none or quorum:k with k from 2 to 16")
        }
        if !isCall, audit != nil || gas != nil || maxPrice != nil || value != nil {
            throw ValidationError("--audit, --gas, --max-price and --value are for weft:// URLs")
        }
    }

    private var isCall: Bool { url.lowercased().hasPrefix("weft:") }

    func run() async throws {
        do {
            try await fetch()
        } catch var failure as CommandFailure {
            // What is not to be had is no word about a contract: it may be had later.
            if isCall, [.network, .notFound, .offline].contains(failure.kind) {
                failure.status = .unavailable
            }
            throw failure
        }
    }

    private func fetch() async throws {
        try await LocalClient.with(common) { client in
            let file = try OutputFile(output)
            let answer = FetchedHead()
            do {
                try await download(client, to: file, answer)
            } catch {
                await file.abandon()
                throw error
            }
            if common.json {
                var entries = await answer.entries
                entries.append(.init("bytes", .number(await file.bytes)))
                entries.append(.init("path", .string(output ?? "-")))
                try StandardOutput.line(JSONText.text(of: .map(entries)))
            }
            if let outcome = await answer.header("weft-outcome") {
                throw CommandFailure(
                    "'\(url)' has no answer: \(outcome)", status: .noAnswer)
            }
            let status = await answer.status
            if status >= 400 {
                throw CommandFailure("'\(url)' was answered with \(status)")
            }
        }
    }

    private func download(
        _ client: LocalClient, to file: OutputFile, _ answer: FetchedHead
    ) async throws {
        let includesHead = include || head
        let progress = Progress("fetching", output == nil || common.json ? .silent : .shown)
        let trace = try await client.content(
            call,
            head: { value in
                await answer.take(value)
                if includesHead {
                    try await file.write(ByteBuffer(string: await answer.text))
                }
                if verbose {
                    StandardError.line(await answer.text.replacing("\r\n", with: "\n"), end: "")
                }
            },
            { chunk in
                try await file.write(chunk)
                await progress.update(bytes: await file.bytes, of: await answer.contentLength)
            })
        await progress.finish()
        try await file.complete()
        if self.trace {
            var lines = trace?.elements.compactMap { $0["text"]?.text } ?? []
            if lines.isEmpty { lines = ["everything was in the store; nobody was asked"] }
            for line in lines { StandardError.line(line) }
        }
    }

    private var call: APICall {
        var query = [(name: "url", value: url)]
        let verb = method ?? (head ? "HEAD" : data == nil ? "GET" : "POST")
        query.append(("method", verb))
        query += headers.map { ("header", $0) }
        if let gas { query.append(("header", "Weft-Gas: \(gas)")) }
        if let integrity { query.append(("integrity", integrity)) }
        if let cache { query.append(("cache", cache)) }
        if let audit { query.append(("audit", audit)) }
        if let maxPrice { query.append(("max-price", "\(maxPrice)")) }
        if let value { query.append(("value", "\(value)")) }
        if let deadline { query.append(("timeout", deadline.text)) }
        var call = APICall("/weft/v1/fetch", query)
        if let data {
            call.body.contentType = "application/octet-stream"
            call.body.pieces = [
                data.hasPrefix("@")
                    ? .file(InputFile(path: String(data.dropFirst())))
                    : .bytes(ByteBuffer(string: data))
            ]
        }
        return call
    }
}

/// The head of an answer to a fetch.
private actor FetchedHead {
    private var value = Value.map([])

    func take(_ value: Value) { self.value = value }

    var status: UInt64 { value["status"]?.count ?? 0 }

    var entries: [Value.Entry] {
        guard case .map(let entries) = value else { return [] }
        return entries
    }

    var contentLength: UInt64? {
        header("content-length").flatMap { UInt64($0) }
    }

    /// As HTTP/1.1 writes it.
    var text: String {
        var text = "HTTP/1.1 \(status) \(value["reason"]?.text ?? "")\r\n"
        if case .map(let fields)? = value["headers"] {
            for field in fields { text += "\(field.key): \(field.value.text ?? "")\r\n" }
        }
        return text + "\r\n"
    }

    func header(_ name: String) -> String? {
        guard case .map(let fields)? = value["headers"] else { return nil }
        return fields.first { $0.key.lowercased() == name }?.value.text
    }
}
