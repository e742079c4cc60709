import HTTPTypes
import NIOCore
import Weft

/// What a gateway shows at its root: what it is and how it is used.
enum LandingPage {
    /// - Parameter pages: Where the program's own pages are, if they can be reached from there.
    static func response(to head: HTTPRequest, pages: String?) -> Response {
        var page = PageStyle.opening(title: "Weft gateway")
        let link = pages.map { url in
            "<p><a href=\"\(PageStyle.escaped(url))\">The pages of this node</a></p>"
        }
        page += """
            <h1>Weft gateway</h1>
            <p>This node serves content by its hash. Every byte was verified before it came out.</p>
            \(link ?? "")
            <dl>
            <dt><code>/ipfs/&lt;cid&gt;/&lt;path&gt;</code></dt>
            <dd>a file, or the listing of a folder</dd>
            <dt><code>/ipns/&lt;key or domain&gt;/&lt;path&gt;</code></dt>
            <dd>what a name points to now</dd>
            <dt><code>?format=raw|car|tar|dag-json|dag-cbor|ipns-record</code></dt>
            <dd>another form of it</dd>
            <dt><code>/routing/v1/…</code></dt>
            <dd>what this node knows about providers and names</dd>
            </dl>
            <p class="soft">Add something with <code>weft add FILE</code> and open the URL that it
            prints.</p>

            """
        page += PageStyle.closing
        var fields = HTTPFields()
        fields[.contentType] = "text/html; charset=utf-8"
        fields[.cacheControl] = "no-cache"
        fields[.contentLength] = "\(page.utf8.count)"
        return Response(
            status: .ok, headers: fields,
            body: head.method == .head ? .empty : ResponseBody(ByteBuffer(string: page)))
    }
}
