// TLS as the web has it, around WebSockets (`/tls/ws`): a certificate that an authority signed for
// a name. It proves nothing about the peer, whose own handshake follows within.

import NIOCore
import NIOSSL

/// Both sides of the web's TLS.
final class WebTLS: Sendable {
    private let server: NIOSSLContext?
    private let client: NIOSSLContext

    init(server: TLSConfiguration?, client: TLSConfiguration) throws {
        self.server = try server.map { try NIOSSLContext(configuration: $0) }
        self.client = try NIOSSLContext(configuration: client)
    }

    /// Takes the listener's part on a channel.
    func addServer(to channel: any Channel) throws {
        guard let server else { throw TransportError.tls("there is no certificate") }
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: server))
    }

    /// Takes the dialer's part. The certificate has to be made out to `name`, or without one to the
    /// IP address.
    func addClient(to channel: any Channel, name: String?) throws {
        let handler = try NIOSSLClientHandler(context: client, serverHostname: name)
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}
