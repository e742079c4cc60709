// What accompanies a request to the local API.

import Hummingbird
import Logging
import NIOCore

/// The context of one request.
struct LocalContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Whether there is no connection whose end would be seen.
    var isInProcess: Bool { channel == nil }
    /// The connection that it came over.
    let channel: (any Channel)?

    /// For a request that came over a socket.
    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// For a request from this process.
    init(logger: Logger) {
        coreContext = .init(source: InProcess(logger: logger))
        channel = nil
    }

    private struct InProcess: RequestContextSource {
        let logger: Logger
    }
}
