// Threads that wait for each other leave some to others: parts of runs are given away only as long
// as few do.

import Synchronization
import Testing

@testable import WasmEngine

@Suite struct WorkersTests {
    /// Work that ends when that is allowed, and says how many have begun it.
    private final class Gate: Sendable {
        private let state = Monitor((begun: 0, isOpen: false))

        var begun: Int { state.withLock { $0.begun } }

        func pass() {
            Workers.blocking {
                state.change(wakingAll: true) { $0.begun += 1 }
                state.wait { $0.isOpen ? () : nil }
            }
        }

        func open() { state.change(wakingAll: true) { $0.isOpen = true } }

        /// Waits until so many have begun it.
        func wait(for count: Int) {
            Workers.blocking { state.wait { $0.begun >= count ? () : nil } }
        }
    }

    /// Waits for something.
    private func until(_ what: String, _ isSo: () -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while !isSo() {
            try #require(ContinuousClock.now < end, "there was no \(what)")
            await Task.yield()
        }
    }

    @Test("when many threads wait for each other, runs go on in their own")
    func sharing() async throws {
        // Of those that wait, twelve are replaced.
        let workers = Workers(
            maxThreads: 1, maxWaiting: 100, stackBytes: 1 << 20, maxDistant: 8, maxJoining: 2)
        let gate = Gate()
        defer {
            gate.open()
            workers.stop()
        }
        let shared = Mutex<[Bool]>([])
        for number in 1...8 {
            try workers.submit {
                let part = Job { gate.pass() }
                let isShared = workers.share { part.run() }
                shared.withLock { $0.append(isShared) }
                if isShared { gate.wait(for: number) }
                part.value()
            }
            try await until("part that waits") { gate.begun == number }
            try await until("thread that waits for it") { workers.joining == min(number, 2) }
        }
        #expect(shared.withLock { $0 } == [true, true] + Array(repeating: false, count: 6))
        let isDone = Mutex(false)
        try workers.submit { isDone.withLock { $0 = true } }
        try await until("thread for what does not wait") { isDone.withLock { $0 } }
    }

    @Test("who waits for work hears that it waits for somebody far away, and may go")
    func goingFar() async throws {
        struct Gone: Error {}
        let gate = Gate()
        let work = Monitor<Job<Int>?>(nil)
        let job = Job {
            work.withLock { $0 }?.goFar()
            gate.pass()
            return 7
        }
        work.withLock { $0 = job }
        let workers = Workers(maxThreads: 2, maxWaiting: 10, stackBytes: 1 << 20)
        #expect(workers.share { job.run() })
        try await until("work that waits") { gate.begun == 1 }
        #expect(throws: Gone.self) { try job.value { _ throws(Gone) in throw Gone() } }
        gate.open()
        #expect(job.value() == 7)
        workers.stop()
    }

    @Test("who waits often already gets one more place only if more are free")
    func places() throws {
        let places = WaitingPlaces(5)
        for own in 0..<3 { try places.take(having: own) }
        #expect(throws: ResourceFailure.busy) { try places.take(having: 3) }
        try places.take(having: 0)
        try places.take(having: 0)
        #expect(throws: ResourceFailure.busy) { try places.take(having: 0) }
        places.giveBack()
        try places.take(having: 0)
    }
}
