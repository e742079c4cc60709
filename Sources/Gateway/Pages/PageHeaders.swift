// What browsers are told about the pages of this program, so that nothing else gets hold of them.

import HTTPTypes

/// The header fields of the pages.
enum PageHeaders {
    /// What scripts and styles of all pages may be: files of the page's own origin.
    private static let own =
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
        + "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "

    /// The policy of pages that fetch from the mesh. Content has origins of its own below this one,
    /// and peers are anywhere.
    private static let sitePolicy =
        own + "img-src 'self' blob: data: http://*.localhost:* https://*.localhost:*; "
        + "media-src 'self' blob: http://*.localhost:* https://*.localhost:*; "
        + "connect-src 'self' ws: wss: http://*.localhost:* https://*.localhost:*"

    /// The policy of the dashboard, which speaks with this program alone and makes no markup of
    /// what peers say.
    private static let dashboardPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        + "require-trusted-types-for 'script'"

    /// The fields of every answer to a page of a part.
    static func fields(of part: PageFolder.Part) -> HTTPFields {
        var fields: HTTPFields = [
            .cacheControl: "no-cache", .xContentTypeOptions: "nosniff",
            .contentSecurityPolicy: part == .site ? sitePolicy : dashboardPolicy,
        ]
        let others = [
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"), ("Referrer-Policy", "no-referrer"),
            ("X-Frame-Options", "DENY"),
        ]
        for (name, value) in others {
            if let name = HTTPField.Name(name) { fields[name] = value }
        }
        return fields
    }
}
