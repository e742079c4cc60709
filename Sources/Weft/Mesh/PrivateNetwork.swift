// The key files of private networks (github.com/libp2p/specs, pnet), as Kubo's swarm.key.

import Connections
import Glibc
import Wire

/// The key file of a private network.
public enum PrivateNetwork {
    /// Makes a key and writes it to a file that only its owner can read.
    ///
    /// - Throws: ``SystemError``, also if there is a file of this name.
    public static func makeKeyFile(at path: String) throws {
        var generator = SystemRandomNumberGenerator()
        var random: [UInt8] = []
        while random.count < 32 { random.appendLittleEndian(generator.next()) }
        let text = try PresharedKey(random).file
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        let written = text.withUnsafeBytes { buffer in
            Result<Void, SystemError> { () throws(SystemError) in
                try file.write(buffer, to: path)
            }
        }
        try written.get()
    }

    /// Reads a key file.
    static func key(in path: String) throws(MeshError) -> PresharedKey {
        do {
            guard let bytes = try SmallFile.read(path) else {
                throw MeshError.badPrivateKey(path, "there is no such file")
            }
            return try PresharedKey(file: bytes.span.bytes)
        } catch let error as MeshError {
            throw error
        } catch {
            throw .badPrivateKey(path, "\(error)")
        }
    }
}
