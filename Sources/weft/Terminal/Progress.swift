// A line of progress on standard error: only for a person, and only when the work is long.

import Glibc
import Weft

/// Shows how far long work has come. It prints nothing in the first second, nor when standard
/// error is no terminal.
actor Progress {
    /// Whether progress is shown.
    enum Mode {
        case shown
        case silent
    }

    private static let patience = Duration.seconds(1)
    private static let interval = Duration.milliseconds(100)

    private let verb: String
    private let isShown: Bool
    private let start = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var isVisible = false

    init(_ verb: String, _ mode: Mode = .shown) {
        self.verb = verb
        self.isShown = mode == .shown && StandardError.isTerminal
        self.last = start
    }

    /// Says how many bytes are done, of how many if that is known.
    func update(bytes: UInt64, of total: UInt64? = nil, _ what: String = "") {
        guard isShown else { return }
        let now = ContinuousClock.now
        guard start.duration(to: now) > Self.patience, last.duration(to: now) > Self.interval
        else { return }
        last = now
        isVisible = true
        let seconds = Double(start.duration(to: now).components.seconds) + 0.001
        let rate = HumanBytes.text(UInt64(Double(bytes) / seconds))
        var line = "\(verb) \(HumanBytes.text(bytes))"
        if let total, total > 0 {
            let filled = Int(min(bytes, total) * 20 / total)
            let bar =
                String(repeating: "█", count: filled) + String(repeating: "░", count: 20 - filled)
            line += " of \(HumanBytes.text(total)) \(bar) \(min(bytes, total) * 100 / total)%"
        }
        StandardError.write("\r\u{1b}[K\(line), \(rate)/s  \(String(what.suffix(40)).visible)")
    }

    /// Removes the line.
    func finish() {
        guard isVisible else { return }
        isVisible = false
        StandardError.write("\r\u{1b}[K")
    }
}

/// Sizes as a person reads them.
enum HumanBytes {
    /// A size in the largest binary unit that it fills, with one decimal.
    static func text(_ bytes: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
