// Calls within others wait for memory that other calls give back, but never all for each other.

import Foundation
import Testing
import WasmEngine

@testable import Weft

@Suite struct InstanceMemoryTests {
    /// An outermost call on a thread of its own, which holds some bytes, and when it is told to
    /// makes a call within it that wants some more.
    private final class Outermost: Sendable {
        let start = DispatchSemaphore(value: 0)
        private let end: Task<Result<Void, any Error>, Never>

        init(
            _ memory: InstanceMemory, holds bytes: Int64, wants more: Int64?,
            _ control: RunControl = RunControl()
        ) {
            let (start, tree) = (start, memory.plant())
            end = Task {
                await withCheckedContinuation { continuation in
                    DispatchQueue.global().async {
                        let result = Result {
                            try memory.lend(atLeast: bytes, depth: 1, of: tree, control) { _ in
                                start.wait()
                                // It may be made again.
                                start.signal()
                                guard let more else { return }
                                try memory.lend(
                                    atLeast: more, depth: 2, of: tree, control
                                ) { #expect($0 >= more) }
                            }
                        }
                        continuation.resume(returning: result)
                    }
                }
            }
        }

        func result() async -> Result<Void, any Error> { await end.value }
    }

    @Test("a call within one waits until another call has given back what it holds")
    func waits() async throws {
        let memory = InstanceMemory(64)
        let large = Outermost(memory, holds: 40, wants: nil)
        try await JoinTests.until("the large one runs") { memory.taken == 40 }
        let small = Outermost(memory, holds: 10, wants: 20)
        small.start.signal()
        try await JoinTests.until("the small one waits") { memory.waiting == 1 }
        large.start.signal()
        try await large.result().get()
        try await small.result().get()
        #expect(memory.taken == 0 && memory.waiting == 0)
    }

    @Test("when all who hold memory wait, the one that began last goes without")
    func stuck() async throws {
        let memory = InstanceMemory(64)
        let first = Outermost(memory, holds: 40, wants: 20)
        try await JoinTests.until("the first runs") { memory.taken == 40 }
        let second = Outermost(memory, holds: 10, wants: 20)
        second.start.signal()
        try await JoinTests.until("the second waits") { memory.waiting == 1 }
        first.start.signal()
        try await first.result().get()
        // It is made again by itself, and holds all that there is.
        let failure = await second.result()
        #expect(throws: ResourceFailure.memory) { try failure.get() }
        #expect(memory.taken == 0 && memory.waiting == 0)
    }

    @Test("who is known to need little is lent little, so that many lie in each other")
    func usual() throws {
        let memory = InstanceMemory(1 << 30)
        let tree = memory.plant()
        func nest(_ depth: Int) throws {
            try memory.lend(
                atLeast: 65_536, usually: 8 << 20, depth: depth, of: tree, RunControl()
            ) { share in
                #expect(share == 10 << 20)
                if depth < 64 { try nest(depth + 1) }
            }
        }
        try nest(1)
        #expect(memory.taken == 0)
    }

    @Test("what is held beside instances is no more than there is")
    func held() throws {
        let memory = InstanceMemory(100)
        let tree = memory.plant()
        try memory.lend(atLeast: 10, usually: 32, depth: 1, of: tree, RunControl()) { _ in
            try memory.hold(60)
            #expect(throws: InstanceMemory.Exhausted.self) {
                try memory.hold(1)
            }
            #expect(memory.taken == 100)
            memory.letGo(60)
        }
        #expect(memory.taken == 0)
    }

    @Test("one alone does not wait for itself, and one that is told to stop waits no more")
    func alone() async throws {
        let memory = InstanceMemory(64)
        let alone = Outermost(memory, holds: 50, wants: 20)
        alone.start.signal()
        let failure = await alone.result()
        #expect(throws: ResourceFailure.memory) { try failure.get() }

        let large = Outermost(memory, holds: 40, wants: nil)
        try await JoinTests.until("the large one runs") { memory.taken == 40 }
        let control = RunControl()
        let small = Outermost(memory, holds: 10, wants: 20, control)
        small.start.signal()
        try await JoinTests.until("the small one waits") { memory.waiting == 1 }
        control.cancel()
        let end = await small.result()
        #expect(throws: CancellationError.self) { try end.get() }
        #expect(memory.taken == 40 && memory.waiting == 0)
        large.start.signal()
        try await large.result().get()
        #expect(memory.taken == 0)
    }
}
