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
            URLs are ipfs://CID/path, ipns://NAME/path, or https://… with --integrity. Every byte \
            is checked against its hash before it is written. An answer with a status of 400 or \
            more is written too, and the exit code is 1; when the deadline passes it is 124. A \
            failure prints what was tried. With --json and -o an object with url, status, \
            headers, bytes and path is printed.


            """
                + Examples.text(
                    ("weft fetch ipfs://CID/film.mp4 -o film.mp4", "save a file"),
                    ("weft fetch -i ipns://example.org/", "show the head of the answer too"),
                    ("weft fetch -H 'Range: bytes=0-99' ipfs://CID", "fetch a part"),
                    ("weft fetch --trace --deadline 30s ipfs://CID", "show where it came from")))

    @OptionGroup var common: CommonOptions

    @Option(
        name: .shortAndLong, help: "Write to a file, which appears when it is complete.",
        completion: .file())
    var output: String?

    @Flag(name: .shortAndLong, help: "Write the head of the answer before its content.")
    var include = false

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
            valueName: "way"))
    var audit: String?

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
    }

    func run() async throws {
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
            StandardError.write(lines.map { $0 + "\n" }.joined())
        }
    }

    private var call: APICall {
        var query = [(name: "url", value: url)]
        let verb = method ?? (head ? "HEAD" : data == nil ? "GET" : "POST")
        query.append(("method", verb))
        query += headers.map { ("header", $0) }
        if let integrity { query.append(("integrity", integrity)) }
        if let cache { query.append(("cache", cache)) }
        if let audit { query.append(("audit", audit)) }
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

    private func header(_ name: String) -> String? {
        guard case .map(let fields)? = value["headers"] else { return nil }
        return fields.first { $0.key.lowercased() == name }?.value.text
    }
}
