// What the pages that a gateway makes have in common: the frame, the style and escaping. They
// need nothing from elsewhere, work without scripts, and follow the reader's colour scheme.

/// The frame of a generated page.
public enum PageStyle {
    /// Everything before the content of `<main>`.
    public static func opening(title: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">
        <title>\(escaped(title))</title><style>\(css)</style></head>
        <body><main>

        """
    }

    /// Everything after the content of `<main>`.
    public static let closing = "</main></body></html>\n"

    /// Text as it may stand in an element or a quoted attribute.
    public static func escaped(_ text: some StringProtocol) -> String {
        guard text.utf8.contains(where: isSpecial) else { return String(text) }
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }

    /// A name as it is shown: characters that reverse what follows or cannot be seen are marked,
    /// so that what looks like `a.txt` is no program.
    public static func shown(_ name: String) -> String {
        guard !name.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return escaped(name) }
        var out = String.UnicodeScalarView()
        for scalar in name.unicodeScalars {
            switch scalar.value {
            case ..<0x20, 0x7f..<0xa0, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069:
                out.append("\u{fffd}")
            default: out.append(scalar)
            }
        }
        return escaped(String(out))
    }

    /// A number of bytes for a person, such as `1.4 MiB`.
    public static func size(_ bytes: UInt64) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        var value = bytes
        var fraction: UInt64 = 0
        var unit = -1
        while value >= 1024, unit < 5 {
            fraction = (value % 1024) * 10 / 1024
            value /= 1024
            unit += 1
        }
        let name = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]
        return value < 100 ? "\(value).\(fraction) \(name)" : "\(value) \(name)"
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        byte == 0x26 || byte == 0x3c || byte == 0x3e || byte == 0x22 || byte == 0x27
    }

    private static let css = """
        :root{color-scheme:light dark;--ink:#1d2430;--soft:#5c6675;--line:#e3e7ec;--back:#fff;\
        --tint:#f4f6f9;--link:#0b5fbf;--mark:#0b5fbf}
        @media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#98a3b3;--line:#2b333f;\
        --back:#14181e;--tint:#1c222a;--link:#7db8ff;--mark:#7db8ff}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--back);color:var(--ink);\
        font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
        main{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem}
        h1{font-size:1.15rem;font-weight:600;margin:0 0 .25rem;overflow-wrap:anywhere}
        p{margin:.25rem 0 1rem;overflow-wrap:anywhere}.soft{color:var(--soft);font-size:.875rem}
        a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
        a:focus-visible{outline:2px solid var(--mark);outline-offset:2px;border-radius:3px}
        table{width:100%;border-collapse:collapse}
        tr{border-top:1px solid var(--line)}tr:hover{background:var(--tint)}
        td,th{padding:.4rem .5rem;text-align:left;vertical-align:top}
        th{font-size:.8rem;font-weight:600;color:var(--soft)}
        td:first-child{width:2.2rem}td:nth-child(2){width:100%;\
        overflow-wrap:anywhere}
        td a{unicode-bidi:isolate}.h{white-space:nowrap}
        td:last-child,th:last-child{text-align:right;white-space:nowrap;\
        font-variant-numeric:tabular-nums;color:var(--soft)}
        .ipfs-hash{font:.8rem/1.9 ui-monospace,Menlo,Consolas,monospace;color:var(--soft)}
        svg{width:1.25rem;height:1.25rem;fill:none;stroke:var(--soft);stroke-width:1.6;\
        stroke-linejoin:round;stroke-linecap:round;display:block;margin-top:.12rem}
        svg.d{stroke:var(--mark)}
        pre{background:var(--tint);padding:1rem;border-radius:6px;overflow:auto;font-size:.85rem;\
        white-space:pre-wrap;overflow-wrap:anywhere}
        dl{margin:1rem 0}dt{border-top:1px solid var(--line);padding-top:.5rem;\
        overflow-wrap:anywhere}
        dd{margin:0;padding-bottom:.5rem;color:var(--soft)}
        summary{cursor:pointer;color:var(--link)}
        @media(max-width:40rem){.h{display:none}}
        """
}
