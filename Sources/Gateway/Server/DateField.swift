// The `Date` field, written once a second rather than once an answer.

import CoreFoundation
import Glibc
import Synchronization
import Weft

/// The time as HTTP writes it.
enum DateField {
    private static let cached = Mutex<(second: Int, text: String)>((0, ""))

    /// The `Date` field for an answer that is made now.
    static var now: String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        let second = time.tv_sec
        return cached.withLock { cached in
            if cached.second != second {
                cached = (second, HTTPDate.text(Int64(second)) ?? "")
            }
            return cached.text
        }
    }
}
