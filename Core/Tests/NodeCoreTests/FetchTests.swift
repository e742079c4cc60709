// Records of names between whole nodes.

import Multiformats
import NodeCore
import Simulation
import Testing
import Wire

struct FetchTests {
    @Test("A node gives the records that it has, and says what it has not")
    func records() throws {
        var network = VirtualNetwork(seed: 1)
        let one = try network.add()
        let two = try network.add()
        let name = network.id(two)
        network.hosts[two].records[name] = [4, 5, 6]
        _ = network.connect(one, two)
        let found = network.order(one, .fetchRecord(network.id(two), of: name))
        let missing = network.order(one, .fetchRecord(network.id(two), of: network.id(one)))
        let alone = network.order(two, .fetchRecord(network.id(two), of: name))
        network.run(for: .seconds(2))
        guard case .record(let record) = network.answer(one, found),
            case .record(let nothing) = network.answer(one, missing)
        else {
            Issue.record("no answer")
            return
        }
        #expect(record == [4, 5, 6])
        #expect(nothing == nil)
        #expect(network.failure(two, alone) == .ourselves)
        network.order(one, .disconnect(network.id(two)))
        let gone = network.order(one, .fetchRecord(network.id(two), of: name))
        network.run(for: .seconds(1))
        #expect(network.failure(one, gone) == .refused(.disconnected))
    }
}
