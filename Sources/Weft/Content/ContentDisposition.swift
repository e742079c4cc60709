// The `Content-Disposition` field (RFC 6266) with names outside ASCII (RFC 8187).

/// Whether a browser shows content or saves it, and under which name.
struct ContentDisposition {
    enum Kind: String {
        case inline
        case attachment
    }

    let kind: Kind
    let filename: String

    /// The field's value. Characters that a quoted string cannot carry become `_`.
    var value: String {
        var plain = ""
        var isASCII = true
        for scalar in filename.unicodeScalars {
            if scalar.value >= 0x80 { isASCII = false }
            let isSafe = (0x20..<0x7f).contains(scalar.value) && scalar != "\"" && scalar != "\\"
            plain.unicodeScalars.append(isSafe ? scalar : "_")
        }
        var value = "\(kind.rawValue); filename=\"\(plain)\""
        if !isASCII {
            value += "; filename*=UTF-8''"
            PercentCoding.append(filename, for: .parameter, to: &value)
        }
        return value
    }
}
