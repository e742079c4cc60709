// The module `wasi_snapshot_preview1` for contracts: what programs need that read their request,
// read files and write a response. Everything else is answered with an error.

import NIOCore
import WasmRules

extension HostFunction {
    /// The functions of the module `wasi_snapshot_preview1`.
    static let wasi: [HostFunction] =
        [
            function("args_get", "ii") { (run, arguments) throws(HostExit) in
                try WASIImports.strings(run, run.wasi.arguments, arguments)
            },
            function("args_sizes_get", "ii") { (run, arguments) throws(HostExit) in
                try WASIImports.sizes(run, run.wasi.arguments, arguments)
            },
            function("environ_get", "ii") { (run, arguments) throws(HostExit) in
                try WASIImports.strings(run, run.wasi.environment, arguments)
            },
            function("environ_sizes_get", "ii") { (run, arguments) throws(HostExit) in
                try WASIImports.sizes(run, run.wasi.environment, arguments)
            },
            function("clock_res_get", "ii") { (run, arguments) throws(HostExit) in
                try run.store([UInt64(1)], arguments.u32(1))
                return .success
            },
            function("clock_time_get", "ili") { (run, arguments) throws(HostExit) in
                try run.store([UInt64(0)], arguments.u32(2))
                return .success
            },
            function("random_get", "ii") { (run, arguments) throws(HostExit) in
                try run.fillWithSeed(arguments.u32(0), arguments.u32(1))
                return .success
            },
            HostFunction("wasi_snapshot_preview1", "proc_exit", "i", "") {
                (run, arguments) throws(HostExit) in
                try run.payCall()
                throw .ended(UInt32(bitPattern: arguments.i32(0)))
            },
            function("sched_yield", "") { (_, _) throws(HostExit) in .success },
            function("fd_advise", "illi", WASIImports.check),
            function("fd_sync", "i", WASIImports.check),
            function("fd_datasync", "i", WASIImports.check),
            function("fd_close", "i", WASIImports.close),
            function("fd_fdstat_get", "ii", WASIImports.descriptorStatus),
            function("fd_filestat_get", "ii", WASIImports.fileStatus),
            function("fd_pread", "iiili") { (run, arguments) throws(HostExit) in
                try WASIImports.read(run, arguments, at: arguments.i64(3), result: arguments.u32(4))
            },
            function("fd_read", "iiii") { (run, arguments) throws(HostExit) in
                try WASIImports.read(run, arguments, at: nil, result: arguments.u32(3))
            },
            function("fd_prestat_get", "ii", WASIImports.preopened),
            function("fd_prestat_dir_name", "iii", WASIImports.preopenedName),
            function("fd_readdir", "iiili", WASIImports.readDirectory),
            function("fd_seek", "ilii", WASIImports.seek),
            function("fd_tell", "ii") { (run, arguments) throws(HostExit) in
                guard let open = run.wasi[arguments.i32(0)] else { return .badDescriptor }
                try run.store([UInt64(open.offset)], arguments.u32(1))
                return .success
            },
            function("fd_write", "iiii", WASIImports.write),
            function("path_filestat_get", "iiiii", WASIImports.pathStatus),
            function("path_open", "iiiiillii", WASIImports.open),
        ] + refused("fd_allocate", "ill") + refused("fd_fdstat_set_flags", "ii")
        + refused("fd_fdstat_set_rights", "ill") + refused("fd_filestat_set_size", "il")
        + refused("fd_filestat_set_times", "illi") + refused("fd_pwrite", "iiili")
        + refused("fd_renumber", "ii") + refused("path_create_directory", "iii")
        + refused("path_filestat_set_times", "iiiilli") + refused("path_link", "iiiiiii")
        + refused("path_readlink", "iiiiii") + refused("path_remove_directory", "iii")
        + refused("path_rename", "iiiiii") + refused("path_symlink", "iiiii")
        + refused("path_unlink_file", "iii") + refused("poll_oneoff", "iiii")
        + refused("proc_raise", "i") + refused("sock_accept", "iii")
        + refused("sock_recv", "iiiiii") + refused("sock_send", "iiiii")
        + refused("sock_shutdown", "ii")

    fileprivate typealias Call =
        @Sendable (Activation, HostArguments) throws(HostExit) -> WASIError

    private static func function(
        _ name: String, _ parameters: String, _ body: @escaping Call
    ) -> HostFunction {
        HostFunction("wasi_snapshot_preview1", name, parameters, "i") {
            (run, arguments) throws(HostExit) in
            try run.payCall()
            return try body(run, arguments).rawValue
        }
    }

    /// A function that changes files, waits or talks: contracts cannot.
    private static func refused(_ name: String, _ parameters: String) -> [HostFunction] {
        [function(name, parameters) { (_, _) throws(HostExit) in .notSupported }]
    }
}

extension Activation {
    /// Writes numbers into the contract's memory, one after the other, least significant first.
    fileprivate func store<Number: FixedWidthInteger>(
        _ numbers: [Number], _ address: Int
    ) throws(HostExit) {
        let size = MemoryLayout<Number>.size
        let target = try range(address, numbers.count * size)
        for (index, number) in numbers.enumerated() {
            target.storeBytes(of: number.littleEndian, toByteOffset: index * size, as: Number.self)
        }
    }

    /// Takes off what looking up so many names costs.
    fileprivate func pay(lookups count: Int) throws(HostExit) {
        try pay(Int64(max(1, count)) * GasSchedule.lookup)
    }

    /// The ranges of memory that a list of addresses and lengths names.
    fileprivate func vectors(
        _ address: Int, _ count: Int
    ) throws(HostExit) -> [UnsafeMutableRawBufferPointer] {
        guard count <= 1_024 else { throw .trap("a list of buffers is too long") }
        let list = try range(address, count * 8)
        var vectors: [UnsafeMutableRawBufferPointer] = []
        for index in 0..<count {
            let start = UInt32(
                littleEndian: list.loadUnaligned(fromByteOffset: index * 8, as: UInt32.self))
            let length = UInt32(
                littleEndian: list.loadUnaligned(fromByteOffset: index * 8 + 4, as: UInt32.self))
            vectors.append(try range(Int(start), Int(length)))
        }
        return vectors
    }
}

/// The functions themselves.
private enum WASIImports {
    static func strings(
        _ run: Activation, _ strings: [String], _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        var bytes: [UInt8] = []
        var addresses: [UInt32] = []
        for string in strings {
            addresses.append(UInt32(truncatingIfNeeded: arguments.u32(1) + bytes.count))
            bytes += Array(string.utf8) + [0]
        }
        try run.pay(bytes: bytes.count)
        try run.store(addresses, arguments.u32(0))
        try run.copy(bytes, arguments.u32(1), bytes.count)
        return .success
    }

    static func sizes(
        _ run: Activation, _ strings: [String], _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        try run.store([UInt32(strings.count)], arguments.u32(0))
        try run.store(
            [UInt32(strings.reduce(0) { $0 + $1.utf8.count + 1 })], arguments.u32(1))
        return .success
    }

    static func check(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        run.wasi[arguments.i32(0)] == nil ? .badDescriptor : .success
    }

    static func close(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard run.wasi[arguments.i32(0)] != nil else { return .badDescriptor }
        run.wasi[arguments.i32(0)] = nil
        return .success
    }

    // MARK: - Status

    /// The kinds of file: unknown for streams, 3 for directories, 4 for files.
    private static func kind(_ descriptor: WASIState.Descriptor) -> UInt8 {
        switch descriptor {
        case .input, .output, .diagnostics: 0
        case .directory: 3
        case .file: 4
        }
    }

    static func descriptorStatus(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard let open = run.wasi[arguments.i32(0)] else { return .badDescriptor }
        let rights: (base: UInt64, inheriting: UInt64) =
            switch open.descriptor {
            case .input: (1 << 1, 0)
            case .output, .diagnostics: (1 << 6, 0)
            // fd_read, fd_seek, fd_tell, fd_advise, fd_filestat_get
            case .file: (1 << 1 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 21, 0)
            // path_open, fd_readdir, path_filestat_get, fd_filestat_get
            case .directory:
                (
                    1 << 13 | 1 << 14 | 1 << 18 | 1 << 21,
                    1 << 1 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 21
                )
            }
        try run.store(
            [UInt64(kind(open.descriptor)), rights.base, rights.inheriting], arguments.u32(1))
        return .success
    }

    static func fileStatus(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard let open = run.wasi[arguments.i32(0)] else { return .badDescriptor }
        let size: Int64 =
            switch open.descriptor {
            case .input: run.request.body.size
            case .file(let file): file.size
            case .output, .diagnostics, .directory: 0
            }
        try status(run, kind(open.descriptor), size, arguments.u32(1))
        return .success
    }

    /// Device, inode, kind, links, size, and three times.
    private static func status(
        _ run: Activation, _ kind: UInt8, _ size: Int64, _ address: Int
    ) throws(HostExit) {
        try run.store([0, 0, UInt64(kind), 1, UInt64(size), 0, 0, 0] as [UInt64], address)
    }

    static func pathStatus(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        try run.pay(bytes: arguments.u32(3))
        let path = try run.text(arguments.u32(2), arguments.u32(3))
        switch try find(run, path, below: arguments.i32(0)) {
        case .entry(.file(let file), _): try status(run, 4, file.size, arguments.u32(4))
        case .entry(.directory, _): try status(run, 3, 0, arguments.u32(4))
        case .error(let error): return error
        }
        return .success
    }

    /// The result of following a path.
    private enum Found {
        case entry(ContentEntry, [String])
        case error(WASIError)
    }

    /// What a path below an open directory leads to. Each name on the way from the root is paid.
    private static func find(
        _ run: Activation, _ path: String, below descriptor: Int32
    ) throws(HostExit) -> Found {
        let names: [String]
        switch run.wasi.way(path, below: descriptor) {
        case .names(let way): names = way
        case .error(let error): return .error(error)
        }
        try run.pay(lookups: names.count)
        guard let entry = try run.wasi.entry(names) else { return .error(.noEntry) }
        return .entry(entry, names)
    }

    // MARK: - Reading and writing

    static func read(
        _ run: Activation, _ arguments: HostArguments, at place: Int64?, result: Int
    ) throws(HostExit) -> WASIError {
        let number = arguments.i32(0)
        guard let open = run.wasi[number] else { return .badDescriptor }
        let content: Content
        switch open.descriptor {
        case .input: content = run.request.body
        case .file(let file): content = .file(file)
        case .directory: return .isDirectory
        case .output, .diagnostics: return .notCapable
        }
        if let place, place < 0 { return .invalid }
        let start = place ?? open.offset
        let vectors = try run.vectors(arguments.u32(1), arguments.u32(2))
        let room = vectors.reduce(0) { $0 + $1.count }
        let end = start + min(Int64(room), max(0, content.size - start))
        try run.pay(bytes: Int(end - start))
        var offset = start
        for vector in vectors where offset < end {
            let count = Int(min(Int64(vector.count), end - offset))
            guard count > 0 else { continue }
            do {
                try content.copy(from: offset, into: .init(rebasing: vector[..<count]))
            } catch {
                throw .failed(error)
            }
            offset += Int64(count)
        }
        if place == nil { run.wasi[number]?.offset = offset }
        try run.store([UInt32(offset - start)], result)
        return .success
    }

    static func write(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard let open = run.wasi[arguments.i32(0)] else { return .badDescriptor }
        switch open.descriptor {
        case .output, .diagnostics: break
        case .input, .file, .directory: return .notCapable
        }
        let vectors = try run.vectors(arguments.u32(1), arguments.u32(2))
        let written = vectors.reduce(0) { $0 + $1.count }
        try run.pay(bytes: written)
        for vector in vectors {
            if case .output = open.descriptor {
                try run.reserveOutput(vector.count)
                run.response.body.writeBytes(vector)
            } else {
                let room = WASIState.maxDiagnostics - run.wasi.diagnostics.readableBytes
                run.wasi.diagnostics.writeBytes(vector.prefix(room))
            }
        }
        try run.store([UInt32(written)], arguments.u32(3))
        return .success
    }

    static func seek(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        let number = arguments.i32(0)
        guard let open = run.wasi[number] else { return .badDescriptor }
        guard case .file(let file) = open.descriptor else { return .noSeek }
        let base: Int64
        switch arguments.i32(2) {
        case 0: base = 0
        case 1: base = open.offset
        case 2: base = file.size
        default: return .invalid
        }
        let (place, overflow) = base.addingReportingOverflow(arguments.i64(1))
        guard !overflow, place >= 0 else { return .invalid }
        run.wasi[number]?.offset = place
        try run.store([UInt64(place)], arguments.u32(3))
        return .success
    }

    // MARK: - Directories

    static func preopened(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard run.wasi[arguments.i32(0)]?.isPreopened == true else { return .badDescriptor }
        // A directory whose name has one byte.
        try run.store([0, 1] as [UInt32], arguments.u32(1))
        return .success
    }

    static func preopenedName(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard run.wasi[arguments.i32(0)]?.isPreopened == true else { return .badDescriptor }
        try run.copy("/".utf8, arguments.u32(1), arguments.u32(2))
        return .success
    }

    static func open(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        try run.pay(bytes: arguments.u32(3))
        let path = try run.text(arguments.u32(2), arguments.u32(3))
        let flags = arguments.i32(4)
        // Making, emptying and writing: the directory is read-only.
        guard flags & 0b1101 == 0, arguments.i64(5) & (1 << 6) == 0 else { return .readOnly }
        let opened: WASIState.Descriptor
        switch try find(run, path, below: arguments.i32(0)) {
        case .entry(.file(let file), _):
            guard flags & 0b10 == 0 else { return .notDirectory }
            opened = .file(file)
        case .entry(.directory, let path): opened = .directory(path)
        case .error(let error): return error
        }
        guard let number = run.wasi.freeDescriptor else { return .tooManyOpen }
        run.wasi[number] = WASIState.Open(descriptor: opened)
        try run.store([number], arguments.u32(8))
        return .success
    }

    static func readDirectory(
        _ run: Activation, _ arguments: HostArguments
    ) throws(HostExit) -> WASIError {
        guard let open = run.wasi[arguments.i32(0)] else { return .badDescriptor }
        guard case .directory(let path) = open.descriptor else { return .notDirectory }
        try run.pay(lookups: path.count)
        let entries = try run.wasi.list(path)
        var bytes: [UInt8] = []
        let cookie = Int(clamping: UInt64(bitPattern: arguments.i64(3)))
        for index in min(cookie, entries.count)..<entries.count {
            guard bytes.count < arguments.u32(2) else { break }
            let entry = entries[index]
            let name = Array(entry.name.utf8)
            try run.pay(lookups: 1)
            let kind = try kind(run, entry, in: path)
            for value in [UInt64(index + 1), 0, UInt64(name.count) | kind << 32] {
                withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
            }
            bytes += name
        }
        let count = min(bytes.count, arguments.u32(2))
        try run.pay(bytes: count)
        try run.copy(bytes, arguments.u32(1), count)
        try run.store([UInt32(count)], arguments.u32(4))
        return .success
    }

    /// What an entry of a directory is. Where the listing does not tell, the entry itself does.
    private static func kind(
        _ run: Activation, _ entry: ContentName, in directory: [String]
    ) throws(HostExit) -> UInt64 {
        if let isDirectory = entry.isDirectory { return isDirectory ? 3 : 4 }
        return switch try run.wasi.entry(directory + [entry.name]) {
        case .directory: 3
        case .file: 4
        case nil: 0
        }
    }
}
