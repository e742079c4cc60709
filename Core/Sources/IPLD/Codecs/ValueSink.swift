// What the parsers of structured codecs hand their findings to. Parsers keep their own stack, so
// depth costs no call stack, whatever the input.

import Multiformats

/// Takes the parts of a value in the order of the bytes.
protocol ValueSink {
    /// A scalar or link that stands alone, in the open list, or for the last key.
    mutating func add(_ value: Value)
    /// A key of the open map.
    mutating func addKey(_ key: String)
    /// A list or map begins.
    mutating func open(_ container: Container)
    /// The list or map that was opened last ends.
    mutating func close()
}

/// The kinds of value that hold others.
enum Container {
    case list, map
}

/// Builds the value.
struct ValueBuilder: ValueSink {
    private struct Frame {
        let container: Container
        var elements: [Value] = []
        var entries: [Value.Entry] = []
        var key = ""
    }

    private var frames: [Frame] = []
    /// The whole value, when everything that was opened has been closed.
    private(set) var result = Value.null

    mutating func add(_ value: Value) {
        guard let top = frames.indices.last else {
            result = value
            return
        }
        switch frames[top].container {
        case .list: frames[top].elements.append(value)
        case .map: frames[top].entries.append(Value.Entry(frames[top].key, value))
        }
    }

    mutating func addKey(_ key: String) {
        guard let top = frames.indices.last else { return }
        frames[top].key = key
    }

    mutating func open(_ container: Container) {
        frames.append(Frame(container: container))
    }

    mutating func close() {
        add(takeLast())
    }

    /// Ends the container that was opened last without adding it to the one around it.
    mutating func takeLast() -> Value {
        guard let frame = frames.popLast() else { return .null }
        return frame.container == .list ? .list(frame.elements) : .map(frame.entries)
    }
}

/// Keeps the links alone.
struct LinkCollector: ValueSink {
    private(set) var links: [CID] = []

    mutating func add(_ value: Value) {
        if case .link(let cid) = value { links.append(cid) }
    }

    mutating func addKey(_: String) {}
    mutating func open(_: Container) {}
    mutating func close() {}
}

extension Value {
    /// Whether a map's entries are free of repeated keys. Sorted entries take linear time.
    static func haveUniqueKeys(_ entries: [Entry]) -> Bool {
        let ascending = zip(entries, entries.dropFirst()).allSatisfy {
            $0.key.utf8.lexicographicallyPrecedes($1.key.utf8)
        }
        guard !ascending else { return true }
        let sorted = entries.map { Array($0.key.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        return zip(sorted, sorted.dropFirst()).allSatisfy { $0 != $1 }
    }
}
