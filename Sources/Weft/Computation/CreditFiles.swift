// What a node remembers of its dealings across restarts: the end of its chain, which is on disk
// before anybody sees a signature, the receipts, the accounts with all changes since they were
// written, and how peers have answered.

import Compute
import Multiformats
import Synchronization
import Wire

/// The files of a node's credit.
///
/// A chain that began anew would have two entries in one place, which is what liars have; so a node
/// whose file of it cannot be read does not start, and one that cannot write it signs no more.
final class CreditFiles: Sendable {
    /// How long the list of receipts gets before the older half of it goes, in bytes.
    private static let maxReceiptBytes = 16 << 20
    /// How many receipts are looked at again at the start.
    private static let maxRecalled = 8_192

    private let directory: String
    private let chain: Mutex<ReceiptChain>
    /// The book as it was left.
    let book: CreditBook
    /// What was known of peers.
    let responders: Responders
    /// All changes of balances.
    let journal: BalanceJournal
    private let receipts: EntryFile
    /// How many bytes at the ends of files a crash had left that were nothing whole.
    let cutBytes: Int
    private let hasChanged = Atomic(false)

    /// Reads the files of `owner`.
    ///
    /// - Throws: ``SystemError`` if there are files that cannot be read; ``DamagedCredit``.
    init(_ directory: String, of owner: PeerID) throws {
        self.directory = directory
        let (journal, recovered) = BalanceJournal.open(directory + "/changes")
        self.journal = journal
        receipts = EntryFile(path: directory + "/receipts", maxBytes: Self.maxReceiptBytes / 2)
        let (kept, cutOfReceipts) = receipts.recover()
        cutBytes = recovered.cutBytes + cutOfReceipts
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
        BalanceChange.apply(recovered.unsettled, to: &accounts)
        chain = Mutex(ReceiptChain(of: owner, end: end))
        book = CreditBook(
            of: owner, accounts: accounts, chain: end, receipts: Self.last(of: kept))
        // How well peers have answered is found out again if it is lost.
        let known = try? SmallFile.read(
            directory + "/responders", limit: Responders.maxStoredBytes)
        responders = known.flatMap { try? Responders(storage: $0.rawSpan) } ?? Responders()
        hasChanged.store(!recovered.unsettled.isEmpty, ordering: .relaxed)
    }

    /// The last receipts that were kept, oldest first: with them it is seen if a partner signs
    /// something else in the same place. What cannot be read is not needed for anything more.
    private static func last(of receipts: [ArraySlice<UInt8>]) -> [Receipt] {
        receipts.suffix(maxRecalled).compactMap { try? Receipt(decoding: Array($0).rawSpan) }
    }

    /// Keeps a receipt; when this returns, the end of the chain is on disk, and so are the changes
    /// of balances before it.
    func keep(_ receipt: Receipt) throws(SystemError) {
        try Files.createDirectory(directory)
        // One after another: a later end is never followed by an earlier one.
        let failure = chain.withLock { chain -> SystemError? in
            guard chain.follow(receipt) else { return nil }
            do throws(SystemError) {
                try SmallFile.replace(directory + "/chain", with: chain.end.stored)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        journal.flush()
        receipts.append([receipt.encoded])
    }

    /// A balance has changed.
    func note(_ change: BalanceChange) {
        if !hasChanged.exchange(true, ordering: .relaxed) {
            // What cannot be made is said by whoever writes the accounts.
            try? Files.createDirectory(directory)
        }
        journal.note(change)
    }

    /// The accounts are about to be looked at, for ``save(_:_:isLast:)``.
    func willSave() {
        if hasChanged.load(ordering: .relaxed) { journal.begin() }
    }

    /// Writes the accounts, and what is known of peers, if there were changes; at last also how
    /// peers have answered that no account tells of.
    func save(
        _ book: CreditBook, _ responders: Responders, isLast: Bool = false
    ) throws(SystemError) {
        let hasMore = isLast && responders.stored != self.responders.stored
        guard hasChanged.exchange(false, ordering: .relaxed) || hasMore else { return }
        try Files.createDirectory(directory)
        try journal.settle { () throws(SystemError) in
            try SmallFile.replace(directory + "/accounts", with: book.storedAccounts)
        }
        try SmallFile.replace(directory + "/responders", with: responders.stored)
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
