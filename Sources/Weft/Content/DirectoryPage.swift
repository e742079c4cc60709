// The page that lists a directory. Its links have the form that other gateways give them.

import IPLD
import Multiformats

/// Writes the page of a directory piece by piece, so that a large one can be streamed.
struct DirectoryPage {
    /// Changes whenever the pages change, so that caches notice; it is part of their entity tag.
    static let version = "2"

    private let request: ContentRequest
    private let segments: [String]

    init(_ request: ContentRequest) {
        self.request = request
        self.segments = request.path.segments
    }

    /// Everything before the first entry.
    ///
    /// - Parameter count: How many entries there are, if that is known.
    func opening(cid: String, count: Int?) -> String {
        var out = PageStyle.opening(title: "Index of \(title)")
        out += Self.icons
        out += "<h1>Index of \(breadcrumbs)</h1>\n<p class=\"soft\">"
        if let count { out += count == 1 ? "1 entry · " : "\(count) entries · " }
        // The root's own CID is in the heading.
        if cid != request.path.root || !segments.isEmpty {
            out += "<span translate=\"no\">\(PageStyle.escaped(cid))</span> · "
        }
        out += "<a href=\"?format=tar&amp;download=true\" rel=\"nofollow\">tar</a>"
        out += " · <a href=\"?format=car&amp;download=true\" rel=\"nofollow\">CAR</a></p>\n"
        out += "<table><thead><tr><td></td><th scope=\"col\">Name</th>"
        out += "<th scope=\"col\" class=\"h\">CID</th><th scope=\"col\">Size</th>"
        out += "</tr></thead><tbody>\n"
        if !segments.isEmpty {
            out += "<tr><td>\(Self.icon("up"))</td>"
            out += "<td><a href=\"\(attribute(request.link(to: segments)))/..\">..</a></td>"
            out += "<td class=\"h\"></td><td></td></tr>\n"
        }
        return out
    }

    /// One entry.
    func row(_ entry: DirectoryEntry) -> String {
        let cid = "\(entry.cid)"
        let link = attribute(request.link(to: segments + [entry.text]))
        var out = "<tr><td>\(Self.icon(Self.iconName(of: entry)))</td>"
        out += "<td><a href=\"\(link)\">\(PageStyle.shown(entry.text))</a></td>"
        out += "<td class=\"h\"><a class=\"ipfs-hash\" translate=\"no\" "
        out += "\(hashLink(entry, cid: cid))>\(Self.shortened(cid))</a></td>"
        out += "<td>\(entry.tsize.map(PageStyle.size) ?? "")</td></tr>\n"
        return out
    }

    /// Everything after the last entry.
    var closing: String { "</tbody></table>\n" + PageStyle.closing }

    private var title: String {
        "/\(request.path.namespace.rawValue)/\(request.path.root)"
            + segments.map { "/" + $0 }.joined()
    }

    /// The path with a link for each of its parts.
    private var breadcrumbs: String {
        var link =
            switch request.site {
            case .path: ""
            case .subdomain(let gateway): "//\(gateway)"
            case .dnslink(let host): "//\(host)"
            }
        let namespace = "/\(request.path.namespace.rawValue)/"
        var out = namespace
        if case .dnslink = request.site {
            out += "<a href=\"\(attribute(link))/\">\(PageStyle.escaped(request.path.root))</a>"
        } else {
            link += namespace + PercentCoding.encode(request.path.root, for: .pathSegment)
            out += "<a href=\"\(attribute(link))\">\(PageStyle.escaped(request.path.root))</a>"
        }
        for segment in segments {
            link += "/" + PercentCoding.encode(segment, for: .pathSegment)
            out += "/<a href=\"\(attribute(link))\">\(PageStyle.shown(segment))</a>"
        }
        return out
    }

    private func hashLink(_ entry: DirectoryEntry, cid: String) -> String {
        // Existing gateways encode the name twice here, and what reads their pages expects it.
        let once = PercentCoding.encode(entry.text, for: .parameter)
        let name = PercentCoding.encode(once, for: .parameter)
        switch request.site {
        case .path: return "href=\"/ipfs/\(cid)?filename=\(name)\""
        case .subdomain(let gateway):
            return "href=\"//\(attribute(gateway))/ipfs/\(cid)?filename=\(name)\""
        case .dnslink:
            return "href=\"https://cid.ipfs.tech/#\(cid)\" target=\"_blank\" "
                + "rel=\"noreferrer noopener\""
        }
    }

    private func attribute(_ text: String) -> String { PageStyle.escaped(text) }

    private static func shortened(_ cid: String) -> String {
        cid.utf8.count <= 20 ? cid : "\(cid.prefix(8))…\(cid.suffix(6))"
    }

    private static func icon(_ name: String) -> String {
        let style = name == "dir" ? " class=\"d\"" : ""
        return "<svg\(style) aria-hidden=\"true\"><use href=\"#\(name)\"/></svg>"
    }

    /// Whether a name ends like that of a file: in a dot and up to eight letters or digits.
    private static func hasExtension(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot > 0 else { return false }
        let end = bytes[(dot + 1)...]
        return 1...8 ~= end.count && end.allSatisfy(isLetterOrDigit)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        0x30...0x39 ~= byte || 0x41...0x5a ~= byte & 0xdf
    }

    /// A folder unless the codec or the name says that it is a file.
    private static func iconName(of entry: DirectoryEntry) -> String {
        guard let type = MediaType.byExtension(of: entry.text) else {
            return entry.cid.codec == .dagPB && !hasExtension(entry.text) ? "dir" : "file"
        }
        switch type.prefix(while: { $0 != "/" }) {
        case "image": return "img"
        case "video", "audio": return "play"
        case "text": return "text"
        default:
            let isArchive = ["zip", "tar", "gzip", "x-xz", "7z", "rar", "car", "zstd"]
                .contains { type.hasSuffix($0) || type.hasSuffix("\($0)-compressed") }
            return isArchive ? "box" : "file"
        }
    }

    private static let icons = """
        <svg style="display:none"><defs>
        <symbol id="dir" viewBox="0 0 24 24"><path d="M3 6h6l2 2h10v11H3z"/></symbol>
        <symbol id="file" viewBox="0 0 24 24"><path d="M6 3h8l4 4v14H6zM14 3v4h4"/></symbol>
        <symbol id="text" viewBox="0 0 24 24"><path d="M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6"/>\
        </symbol>
        <symbol id="img" viewBox="0 0 24 24"><path d="M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4"/>\
        <circle cx="15.5" cy="9" r="1.2"/></symbol>
        <symbol id="play" viewBox="0 0 24 24"><path d="M4 5h16v14H4zM10 9l5 3-5 3z"/></symbol>
        <symbol id="box" viewBox="0 0 24 24"><path d="M4 8h16v12H4zM3 4h18v4H3zM10 12h4"/></symbol>
        <symbol id="up" viewBox="0 0 24 24"><path d="M12 19V6M6 11l6-6 6 6"/></symbol>
        </defs></svg>

        """
}
