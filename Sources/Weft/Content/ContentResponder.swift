// Answers requests for content with all the semantics of the path and trustless gateway
// specifications (specs.ipfs.tech/http-gateways). `Node.fetch` and the HTTP gateway both use it.

import HTTPTypes
import IPLD
import Multiformats
import NIOCore

/// Answers requests for content.
public struct ContentResponder: Sendable {
    /// Whether data may be answered in another codec than its own.
    public enum CodecConversion: Sendable, Hashable {
        /// Such requests are answered with 406, as IPIP-524 asks.
        case refused
        /// dag-json, dag-cbor and dag-pb are converted into each other's data forms.
        case allowed
    }

    private let conversion: CodecConversion

    /// Creates a responder.
    public init(conversion: CodecConversion = .refused) {
        self.conversion = conversion
    }

    /// Answers a request from a source of blocks.
    ///
    /// It does not throw for what a client or the content can cause: those answers have a status
    /// of 400 and above, and a body that says what is wrong. A block that cannot be had after the
    /// head was answered ends the body with an error.
    public func respond(to request: ContentRequest, from source: any BlockSource) async -> Response
    {
        do {
            return try await answer(request, ContentReader(source))
        } catch {
            return ErrorAnswer(error, to: request.method, headers: request.headers).response
        }
    }

    /// How much of what blocks a request needs, so that a retrieval can ask for it all at once.
    public func scope(of request: ContentRequest) -> RetrievalScope {
        let extent: RetrievalScope.Extent
        // A request that cannot be read is refused when it is answered; nothing is retrieved.
        let accepted = try? AcceptedFormat(
            query: request.query, accept: request.headers[.accept])
        switch accepted?.format {
        case .raw, .dagJSON, .dagCBOR, .json, .cbor, .ipnsRecord: extent = .block
        case .tar: extent = .all
        case .car:
            let parameters = accepted?.carParameters ?? []
            let wanted = try? CARRequest(query: request.query, parameters: parameters)
            extent = wanted?.selection.scope ?? .block
        case nil: extent = .entity(Self.bytes(of: request))
        }
        return RetrievalScope(root: request.root, path: request.segments, extent: extent)
    }

    /// The one range of a request, in the terms of a retrieval.
    private static func bytes(of request: ContentRequest) -> RetrievalScope.Bytes? {
        if request.method == .head { return RetrievalScope.Bytes(from: 0, through: 0) }
        guard let field = request.headers[.range],
            case .parts(let parts) = ByteRanges(field, size: UInt64(Int64.max)),
            let part = parts.first, parts.count == 1, part.upperBound < UInt64(Int64.max)
        else { return nil }
        return RetrievalScope.Bytes(
            from: Int64(part.lowerBound), through: Int64(part.upperBound - 1))
    }

    private func answer(
        _ request: ContentRequest, _ reader: ContentReader
    ) async throws -> Response {
        guard request.method == .get || request.method == .head else {
            throw ContentError(.methodNotAllowed, "content can be asked for with GET and HEAD")
        }
        let answer = try ContentAnswer(request, reader: reader, conversion: conversion)
        let resolved: ResolvedContent
        do {
            resolved = try await reader.resolve(request.segments, from: request.root)
        } catch let error as ContentError
            where error.status == .notFound && request.hasOwnOrigin && answer.accepted.format == nil
        {
            guard let response = try await redirected(answer) else { throw error }
            return response
        }
        return try await self.answer(answer, resolved)
    }

    private func answer(
        _ answer: ContentAnswer, _ resolved: ResolvedContent
    ) async throws -> Response {
        if answer.accepted.format == .raw { return try answer.raw(resolved) }
        if let fault = resolved.fault { throw fault }
        switch answer.accepted.format {
        case .car:
            let selection = try CARRequest(
                query: answer.request.query, parameters: answer.accepted.carParameters)
            return try await answer.car(resolved, selection: selection)
        case .tar: return try await answer.tar(resolved)
        case .ipnsRecord:
            throw ContentError(
                .badRequest, "an ipns-record can be asked for under /ipns/<key> without a path")
        case .raw, .dagJSON, .dagCBOR, .json, .cbor, nil: break
        }
        switch (resolved.entity, answer.accepted.format) {
        case (.node, _): return try answer.data(resolved)
        // A file with JSON or CBOR in it is asked for in the same way as a block of that codec.
        case (.file, .json?), (.file, .cbor?), (.file, nil):
            return try await answer.file(resolved)
        case (_, let form?): return try answer.refuseData(resolved, form)
        case (.directory, nil): return try await answer.directory(resolved)
        case (.symlink(let target, _), nil): return answer.symlink(resolved, target: target)
        }
    }

    /// What the site's `_redirects` file says about a path that does not exist; nil if nothing.
    private func redirected(_ answer: ContentAnswer) async throws -> Response? {
        let request = answer.request
        let file: ResolvedContent
        do {
            file = try await answer.reader.resolve(
                request.rootSegments + ["_redirects"], from: request.root)
        } catch let error as ContentError where error.status == .notFound {
            return nil
        }
        guard case .file = file.entity else { return nil }
        let rules = try await rules(in: file, answer.reader)
        guard let action = rules.action(for: request.path.segments) else { return nil }
        guard action.status == 200 || action.status >= 400 else {
            var fields = HTTPFields()
            fields[.location] = action.target
            fields[.ipfsPath] = request.path.encoded
            return Response(
                status: HTTPResponse.Status(code: action.status), headers: fields)
        }
        let page = action.target.prefix { $0 != "?" && $0 != "#" }
        let target = try ContentPath(.ipfs, root: "", encodedRest: page)
        var answer = answer
        answer.rewritten = target.segments
        answer.status =
            action.status == 451
            ? .unavailableForLegalReasons : HTTPResponse.Status(code: action.status)
        let resolved = try await answer.reader.resolve(
            request.rootSegments + target.segments, from: request.root)
        return try await self.answer(answer, resolved)
    }

    private func rules(
        in resolved: ResolvedContent, _ reader: ContentReader
    ) async throws -> RedirectRules {
        let file = try reader.file(resolved)
        do {
            guard file.size <= RedirectRules.maxBytes else {
                throw RedirectRules.Problem(
                    message: "redirects file size cannot exceed \(RedirectRules.maxBytes) bytes")
            }
            var stream = PrimedStream(file.stream(nil))
            try await stream.draw(RedirectRules.maxBytes)
            return try RedirectRules(
                String(decoding: stream.head(RedirectRules.maxBytes), as: UTF8.self))
        } catch let problem as RedirectRules.Problem {
            throw ContentError(
                .internalServerError, "could not parse _redirects: \(problem.message)")
        }
    }
}
