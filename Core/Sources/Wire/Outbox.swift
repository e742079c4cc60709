/// What a machine has to say, first in, first out.
///
/// It has no limit of its own: drivers empty it after every input, and what one input can put in is
/// bounded by the limits of its machine. Other modules get its code, not only its name (which Swift
/// grants to what is public alone): without that each message cost a look-up of the type.
public struct Outbox<Element: Sendable>: Sendable {
    @usableFromInline var elements: [Element?] = []
    @usableFromInline var head = 0

    /// Nothing to say.
    @inlinable public init() {}

    /// Whether there is nothing to say.
    @inlinable public var isEmpty: Bool { head == elements.count }

    /// Says one thing more.
    @inlinable public mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// What is to be said next; nil if nothing is.
    @inlinable public mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.count <= 16)
            head = 0
        }
        return element
    }
}
