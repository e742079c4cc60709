// `fetch()`: one call for content by hash, content by name, content of the web whose hash is known,
// and calls of contracts. The answers are those of a gateway; see Content/ for what they contain.

public import HTTPTypes

extension Node {
    /// Fetches a URL: `ipfs://`, `ipns://`, `weft://`, or `http(s)://` with a known hash.
    ///
    /// - Parameter integrity: see ``Request/integrity``.
    /// - Throws: ``FetchError`` with the trace of what was tried; `CancellationError`.
    public func fetch(
        _ url: String, method: HTTPRequest.Method = .get, headers: HTTPFields = [:],
        cache: Request.CacheMode = .standard, integrity: String? = nil,
        mesh: MeshOptions = MeshOptions()
    ) async throws -> Response {
        try await fetch(
            Request(
                url, method: method, headers: headers, cache: cache, integrity: integrity,
                mesh: mesh))
    }

    /// Fetches what a request asks for. The body streams; see ``MeshOptions`` for deadlines.
    ///
    /// - Throws: ``FetchError`` with the trace of what was tried; `CancellationError`.
    public func fetch(_ request: Request) async throws -> Response {
        let fetcher = Fetcher(
            retrieval: retrieval, computation: computation, names: names, client: client,
            store: .store(store, maxBytes: configuration.storage.maxBytes))
        return try await fetcher.fetch(request)
    }
}
