/// What a machine has to say, first in, first out.
///
/// It has no limit of its own: drivers empty it after every input, and what one input can put in is
/// bounded by the limits of its machine.
package struct Outbox<Element: Sendable>: Sendable {
    private var elements: [Element?] = []
    private var head = 0

    package init() {}

    package var isEmpty: Bool { head == elements.count }

    package mutating func append(_ element: Element) {
        elements.append(element)
    }

    package mutating func popFirst() -> Element? {
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
