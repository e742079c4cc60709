// The pages that the program serves: a folder beside it, which `make page` builds and
// `make install` installs.

import Cryptography
import Glibc
import HTTPTypes
import Multiformats
import NIOCore
import NIOPosix
import Synchronization
import Weft
import Wire

/// Where the pages are not.
public struct PagesMissing: Error, CustomStringConvertible, Sendable {
    /// Where they were looked for.
    public let places: [String]

    public var description: String {
        """
        the pages of this program are not at \(places.joined(separator: " or ")); in a checkout \
        `make page` builds them, otherwise install Weft again or set WEFT_PAGES to their folder
        """
    }
}

/// A folder of pages: those for everybody in `site`, the dashboard in `dashboard`. Only what lies
/// in it when it is opened is served, so that no path has to be resolved.
public struct PageFolder: Sendable {
    /// One file.
    struct File: Sendable {
        let path: String
        let type: String
    }

    /// What is answered for a file.
    struct Page: Sendable {
        let bytes: ByteBuffer
        let type: String
        let tag: String
    }

    /// One part of the folder.
    enum Part: String {
        case site, dashboard
    }

    /// How many files are served at the most, and how long each may be, in bytes.
    private static let limits = (files: 256, bytes: 16 << 20)

    private let site: [String: File]
    private let dashboard: [String: File]
    private let read = ReadPages()

    /// Opens the pages of this program.
    public init() throws(PagesMissing) {
        let places = Self.places
        guard let place = places.first(where: { access("\($0)/site/index.html", R_OK) == 0 })
        else { throw PagesMissing(places: places) }
        self.init(at: place)
    }

    /// Opens the pages in a folder.
    public init(at folder: String) {
        site = Self.files(below: "\(folder)/\(Part.site.rawValue)")
        dashboard = Self.files(below: "\(folder)/\(Part.dashboard.rawValue)")
    }

    /// Whether there is something at the path of a URL; one that ends in `/` names the folder's
    /// `index.html`.
    func has(_ path: some StringProtocol, in part: Part) -> Bool { file(path, part) != nil }

    /// What is at a path. A file is read once, on a thread that may wait for a disk, and kept.
    func page(_ path: some StringProtocol, in part: Part) async throws -> Page? {
        guard let file = file(path, part) else { return nil }
        if let page = read.pages.withLock({ $0[file.path] }) { return page }
        return try await NIOThreadPool.singleton.runIfActive { [read] in
            guard let bytes = Self.read(file.path) else { return nil }
            let hash = SHA256.hash(bytes.readableBytesSpan).prefix(15)
            let page = Page(
                bytes: bytes, type: file.type,
                tag: "\"\(Multibase.base32.encodeBody(Array(hash)))\"")
            // Of those who read it at the same time, all keep what the first one has.
            return read.pages.withLock { pages in
                let known = pages[file.path] ?? page
                pages[file.path] = known
                return known
            }
        }
    }

    private func file(_ path: some StringProtocol, _ part: Part) -> File? {
        let files = part == .site ? site : dashboard
        return files[path.hasSuffix("/") ? "\(path)index.html" : String(path)]
    }

    /// What has been read.
    private final class ReadPages: Sendable {
        let pages = Mutex<[String: Page]>([:])
    }

    // MARK: - Where it is

    /// Where an installed program has its pages, and where a checkout does.
    private static var places: [String] {
        if let named = getenv("WEFT_PAGES"), named.pointee != 0 {
            return [String(cString: named)]
        }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard length > 0 else { return [] }
        let program = String(
            decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var folders = program.split(separator: "/").map(String.init).dropLast()
        let installed = folders.dropLast() + ["share", "weft", "pages"]
        var places = ["/" + installed.joined(separator: "/")]
        while let last = folders.popLast() {
            guard last == ".build" else { continue }
            places.append("/" + (folders + ["browser", "dist", "pages"]).joined(separator: "/"))
        }
        return places
    }

    /// The files in a folder and in the folders of it, by their paths in URLs.
    private static func files(below root: String) -> [String: File] {
        var files: [String: File] = [:]
        var waiting = [""]
        while let folder = waiting.popLast() {
            guard let directory = opendir(root + folder) else { continue }
            defer { closedir(directory) }
            while let entry = readdir(directory), files.count < limits.files {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                guard !name.hasPrefix(".") else { continue }
                let path = "\(folder)/\(name)"
                var status = stat()
                guard stat(root + path, &status) == 0 else { continue }
                switch status.st_mode & S_IFMT {
                case S_IFDIR where waiting.count < limits.files: waiting.append(path)
                case S_IFREG where status.st_size <= limits.bytes:
                    guard let type = type(of: name) else { continue }
                    files[path] = File(path: root + path, type: type)
                default: continue
                }
            }
        }
        return files
    }

    /// The types of what pages consist of; nothing else is served.
    private static func type(of name: String) -> String? {
        switch name.split(separator: ".").last {
        case "html": "text/html; charset=utf-8"
        case "js": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "svg": "image/svg+xml"
        case "wasm": "application/wasm"
        default: nil
        }
    }

    private static func read(_ path: String) -> ByteBuffer? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = ByteBuffer()
        while bytes.readableBytes <= limits.bytes {
            let count = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: 64 << 10) {
                max(0, Glibc.read(descriptor, $0.baseAddress, $0.count))
            }
            if count == 0 { return bytes }
        }
        return nil
    }
}
