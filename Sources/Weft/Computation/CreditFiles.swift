// What a node remembers of mutual credit across restarts: the end of its chain, which is on disk
// before anybody sees a signature, the receipts, and the accounts.

import Compute
import Glibc
import Multiformats
import Synchronization
import Wire

/// The files of a node's credit.
///
/// A chain that began anew would have two entries in one place, which is what liars have; so a node
/// whose file of it cannot be read does not start, and one that cannot write it signs no more.
final class CreditFiles: Sendable {
    /// How long the list of receipts gets before the older half of it goes, in bytes.
    private static let maxReceiptBytes: UInt64 = 16 << 20

    private let directory: String
    private let chain: Mutex<ReceiptChain>
    /// The book as it was left.
    let book: CreditBook
    private let hasChanged = Atomic(false)

    /// Reads the files of `owner`.
    ///
    /// - Throws: ``SystemError`` if there are files that cannot be read; ``DamagedCredit``.
    init(_ directory: String, of owner: PeerID) throws {
        self.directory = directory
        var end = ChainPosition.first
        if let bytes = try SmallFile.read(directory + "/chain", limit: 64) {
            guard let position = ChainPosition(stored: bytes) else {
                throw DamagedCredit(path: directory + "/chain")
            }
            end = position
        }
        var accounts: [PeerID: Account] = [:]
        if let bytes = try SmallFile.read(
            directory + "/accounts", limit: CreditBook.maxStoredBytes)
        {
            do {
                accounts = try CreditBook.accounts(decoding: bytes.rawSpan)
            } catch {
                throw DamagedCredit(path: directory + "/accounts")
            }
        }
        chain = Mutex(ReceiptChain(of: owner, end: end))
        book = CreditBook(of: owner, accounts: accounts, chain: end)
    }

    /// Keeps a receipt; when this returns, the end of the chain is on disk.
    func keep(_ receipt: Receipt) throws(SystemError) {
        try Files.createDirectory(directory)
        let end = chain.withLock { chain in chain.follow(receipt) ? chain.end : nil }
        if let end { try SmallFile.replace(directory + "/chain", with: end.stored) }
        append(receipt.encoded)
    }

    private func append(_ receipt: [UInt8]) {
        let path = directory + "/receipts"
        let file = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        let length = [UInt8(truncatingIfNeeded: receipt.count >> 8), UInt8(receipt.count & 0xff)]
        _ = Glibc.write(file, length + receipt, receipt.count + 2)
        guard lseek(file, 0, SEEK_END) > Self.maxReceiptBytes / 2 else { return }
        // The older half was put aside before, and goes now.
        rename(path, path + ".old")
    }

    /// The accounts are not as they were written last.
    func noteChange() { hasChanged.store(true, ordering: .relaxed) }

    /// Writes the accounts if they have changed.
    func save(_ book: CreditBook) throws(SystemError) {
        guard hasChanged.exchange(false, ordering: .relaxed) else { return }
        try Files.createDirectory(directory)
        try SmallFile.replace(directory + "/accounts", with: book.storedAccounts)
    }
}

/// A file of credit that is not what was written.
struct DamagedCredit: Error, CustomStringConvertible {
    let path: String

    var description: String {
        """
        \(path) is damaged; put back a copy, or remove the folder it is in and this node's \
        identity with it: a chain that begins anew under the same identity looks like a lie
        """
    }
}
