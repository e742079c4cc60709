// Counts requests, bytes and durations of one HTTP server.

public import Hummingbird
import NIOCore

/// Middleware that records every answer of one server in ``Metrics``.
public struct MetricsMiddleware<Context: RequestContext>: RouterMiddleware {
    private let metrics: Metrics
    private let server: String

    /// Middleware for a server that is called `server` in the labels.
    public init(_ metrics: Metrics, server: String) {
        self.metrics = metrics
        self.server = server
    }

    /// Records the answer when its body has been written.
    @concurrent public func handle(
        _ request: Request, context: Context,
        next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        do {
            var response = try await next(request, context)
            let status = response.status.code / 100
            let body = response.body
            let metrics = metrics
            let server = server
            response.body = ResponseBody(contentLength: body.contentLength) { writer in
                defer {
                    metrics.count(.requests, #"server="\#(server)",status="\#(status)xx""#)
                    metrics.observe(
                        .requestSeconds, #"server="\#(server)""#,
                        start.duration(to: ContinuousClock.now))
                }
                try await body.write(
                    CountingWriter(parent: writer, metrics: metrics, server: server))
            }
            return response
        } catch {
            metrics.count(.requests, #"server="\#(server)",status="5xx""#)
            throw error
        }
    }
}

private struct CountingWriter: ResponseBodyWriter {
    var parent: any ResponseBodyWriter
    let metrics: Metrics
    let server: String

    @concurrent mutating func write(_ buffer: ByteBuffer) async throws {
        metrics.count(
            .bytesSent, #"server="\#(server)""#, by: UInt64(buffer.readableBytes))
        try await parent.write(buffer)
    }

    @concurrent consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
        try await parent.finish(trailingHeaders)
    }
}
