// The media type of a file: by the extension of its name, else by its first bytes, much as
// browsers sniff (mimesniff.spec.whatwg.org, sections 6 and 7).

/// Finds out what a file is.
public enum MediaType {
    /// How many of a file's first bytes are looked at.
    public static let sniffLength = 3_072

    /// The media type of a file, as a `Content-Type` value.
    ///
    /// - Parameters:
    ///   - name: The name under which the file was asked for, if any.
    ///   - head: The file's first bytes, at least ``sniffLength`` of them if there are as many.
    public static func of(name: String?, head: some RandomAccessCollection<UInt8>) -> String {
        if let name, let type = byExtension(of: name) { return type }
        return bySniffing(head)
    }

    /// The type that a name's extension stands for, if it is known here.
    public static func byExtension(of name: String) -> String? {
        let bytes = Array(name.utf8)
        guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot != 0 else { return nil }
        let ending = bytes[(dot + 1)...]
        guard ending.count <= 12 else { return nil }
        return types[ending.map { (65...90).contains($0) ? $0 + 32 : $0 }]
    }

    /// By the bytes of the extensions: pages have no tables to compare texts with.
    private static let types: [[UInt8]: String] = {
        var table: [[UInt8]: String] = [:]
        for line in Array(list.utf8).split(separator: UInt8(ascii: "\n")) {
            let words = line.split(separator: UInt8(ascii: " "))
            guard let type = words.first else { continue }
            let isText =
                type.starts(with: "text/".utf8) || type.elementsEqual("application/xhtml+xml".utf8)
            let suffix = isText ? Array("; charset=utf-8".utf8) : []
            let text = String(decoding: type + suffix, as: UTF8.self)
            for ending in words.dropFirst() { table[Array(ending)] = text }
        }
        return table
    }()

    private static let list = """
        application/epub+zip epub
        application/geo+json geojson
        application/gzip gz
        application/java-archive jar
        application/javascript+json map
        application/json json topojson
        application/ld+json jsonld
        application/manifest+json webmanifest
        application/msword doc
        application/octet-stream bin img dmg
        application/ogg ogx
        application/pdf pdf
        application/rss+xml rss
        application/atom+xml atom
        application/rtf rtf
        application/toml toml
        application/vnd.android.package-archive apk
        application/vnd.apple.mpegurl m3u8
        application/vnd.ipld.car car
        application/vnd.ms-excel xls
        application/vnd.ms-fontobject eot
        application/vnd.ms-powerpoint ppt
        application/vnd.oasis.opendocument.spreadsheet ods
        application/vnd.oasis.opendocument.text odt
        application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
        application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
        application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
        application/vnd.rar rar
        application/vnd.sqlite3 sqlite db
        application/wasm wasm
        application/x-7z-compressed 7z
        application/x-bittorrent torrent
        application/x-bzip2 bz2
        application/x-sh sh
        application/x-tar tar
        application/x-xz xz
        application/xhtml+xml xhtml
        application/xml xml xsl
        application/yaml yaml yml
        application/zip zip
        application/zstd zst
        audio/aac aac
        audio/flac flac
        audio/midi mid midi
        audio/mp4 m4a
        audio/mpeg mp3
        audio/ogg oga ogg opus
        audio/wav wav
        audio/webm weba
        font/otf otf
        font/ttf ttf
        font/woff woff
        font/woff2 woff2
        image/apng apng
        image/avif avif
        image/bmp bmp
        image/gif gif
        image/heic heic
        image/jpeg jpg jpeg jpe
        image/jxl jxl
        image/png png
        image/svg+xml svg
        image/tiff tif tiff
        image/webp webp
        image/x-icon ico
        model/gltf+json gltf
        model/gltf-binary glb
        model/obj obj
        model/stl stl
        text/calendar ics
        text/css css
        text/csv csv
        text/html html htm
        text/javascript js mjs cjs
        text/markdown md markdown
        text/plain txt text log conf ini swift c h cpp hpp go rs py rb java kt ts tsx jsx srt
        text/tab-separated-values tsv
        text/vcard vcf
        text/vtt vtt
        video/mp2t m2ts
        video/mp4 mp4 m4v
        video/mpeg mpeg mpg
        video/ogg ogv
        video/quicktime mov
        video/webm webm
        video/x-matroska mkv
        video/x-msvideo avi
        """
}
