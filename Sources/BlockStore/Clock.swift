// The time of day, to the second: when content was last used.

import Glibc

enum Clock {
    /// Seconds since 1970.
    static var seconds: Int64 { Int64(time(nil)) }
}
