// Finds out which results need their NaNs made canonical. The bits of a NaN matter only where they
// are seen: in memory, as an integer, in other functions. Arithmetic and comparison give the same
// whatever they are, so a result that goes nowhere else, also by way of variables, can stay as the
// processor made it.
//
// The places of values are nodes: each variable, and each result of an instruction that can make a
// NaN. An edge says that the value of one may come to be that of another. A node's uses are those
// of all nodes that its value can reach.

/// The flow of floating-point values within one function.
struct NaNFlow {
    /// How values of a node are used: as numbers of a shape, or by their bits.
    struct Uses: OptionSet {
        let rawValue: UInt8

        /// The bits are seen.
        static let bits = Uses(rawValue: 1 << 7)

        /// Taken as numbers of a shape, whose NaNs are all alike.
        static func numbers(_ shape: FloatShape) -> Uses { Uses(rawValue: 1 << shape.rawValue) }
    }

    /// A place of values; 0 for one that never holds a NaN that matters.
    typealias Node = UInt32

    private struct Source {
        var node: Node
        var shape: FloatShape
        /// Where the instruction stands in the module.
        var offset: Int
    }

    private var uses: [Uses] = []
    private var edges: [(from: Node, to: Node)] = []
    private var sources: [Source] = []

    /// Starts with a function of so many variables; variable n has node n + 1.
    mutating func begin(locals: Int) {
        uses.removeAll(keepingCapacity: true)
        uses.append(contentsOf: repeatElement([], count: locals + 1))
        edges.removeAll(keepingCapacity: true)
        sources.removeAll(keepingCapacity: true)
    }

    mutating func use(_ node: Node, _ use: Uses) {
        if node != 0 { uses[Int(node)].formUnion(use) }
    }

    /// The value of one place may come to be that of another.
    mutating func flow(from: Node, to: Node) {
        if from != 0, from != to { edges.append((from, to)) }
    }

    /// The node of a result that can be a new NaN.
    mutating func source(_ shape: FloatShape, at offset: Int) -> Node {
        uses.append([])
        let node = Node(uses.count - 1)
        sources.append(Source(node: node, shape: shape, offset: offset))
        return node
    }

    /// The node of a value that is one of two.
    mutating func either(_ first: Node, _ second: Node) -> Node {
        if first == 0 || first == second { return second }
        if second == 0 { return first }
        uses.append([])
        let node = Node(uses.count - 1)
        flow(from: first, to: node)
        flow(from: second, to: node)
        return node
    }

    /// Where the instructions stand whose results must be made canonical, in order.
    mutating func canonicalOffsets() -> [Int] {
        if sources.isEmpty { return [] }
        spreadUses()
        return sources.filter { !uses[Int($0.node)].subtracting(.numbers($0.shape)).isEmpty }
            .map { $0.offset }
    }

    /// Gives every node the uses of all that its value reaches. A node has eight uses at most, and
    /// is looked at once for each that it gets, so this takes time in proportion to the edges.
    private mutating func spreadUses() {
        // The edges into each node, one node after the other.
        var starts = [Int](repeating: 0, count: uses.count + 1)
        for edge in edges { starts[Int(edge.to) + 1] += 1 }
        for node in uses.indices { starts[node + 1] += starts[node] }
        var places = starts
        var origins = [Node](repeating: 0, count: edges.count)
        for edge in edges {
            origins[places[Int(edge.to)]] = edge.from
            places[Int(edge.to)] += 1
        }
        var waiting = uses.indices.filter { !uses[$0].isEmpty }
        while let node = waiting.popLast() {
            for origin in origins[starts[node]..<starts[node + 1]]
            where !uses[node].isSubset(of: uses[Int(origin)]) {
                uses[Int(origin)].formUnion(uses[node])
                waiting.append(Int(origin))
            }
        }
    }
}
