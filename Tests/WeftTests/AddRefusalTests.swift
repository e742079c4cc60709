// What cannot be added, named precisely; and what is left when adding is broken off.

import BlockStore
import Foundation
import IPLD
import Testing

@testable import Weft

@Suite struct AddRefusalTests {
    @Test("A file that changes while it is read is refused by name")
    func changing() async throws {
        try await withNode { node, base in
            try base.write("f", [UInt8](repeating: 1, count: 1 << 20))
            let path = base.path + "/f"
            var options = AddOptions()
            options.profile.chunker = .size(1024)
            // The first progress comes after the first piece and long before the last.
            let observer = AddObserver(progress: { progress in
                guard progress.files == 0 else { return }
                truncate(path, 2 << 20)
            })
            await #expect(throws: ImportError.changed(path)) {
                try await node.add([path], options, observer: observer)
            }
        }
    }

    @Test("Pipes, missing files and names that are not UTF-8 are refused by name")
    func special() async throws {
        try await withNode { node, base in
            try base.write("in/ok", [1])
            mkfifo(base.path + "/in/pipe", 0o600)
            await #expect(
                throws: ImportError.special(base.path + "/in/pipe", kind: "pipe")
            ) {
                try await node.add([base.path + "/in"])
            }
            unlink(base.path + "/in/pipe")
            await #expect(throws: SystemError("find", base.path + "/nothing", code: ENOENT)) {
                try await node.add([base.path + "/nothing"])
            }
            close(creat(base.path + "/in/\u{1}", 0o600))
            let bad: [CChar] = Array((base.path + "/in/").utf8CString.dropLast()) + [-1, -2, 0]
            close(creat(bad, 0o600))
            await #expect(
                throws: ImportError.badName(folder: base.path + "/in", name: "\u{fffd}\u{fffd}")
            ) {
                try await node.add([base.path + "/in"])
            }
            await #expect(throws: ImportError.nothing) { try await node.add([]) }
        }
    }

    @Test("Folders deeper than readers follow are refused, not followed")
    func deep() async throws {
        try await withNode { node, base in
            var parent = try Descriptor.open(base.path, O_RDONLY | O_DIRECTORY)
            for _ in 0...TreeImport.maxDepth + 1 {
                mkdirat(parent.number, "d", 0o700)
                parent = try Descriptor.open("d", O_RDONLY | O_DIRECTORY, in: parent.number)
            }
            await #expect {
                try await node.add([base.path + "/d"])
            } throws: { error in
                guard case ImportError.tooDeep = error else { return false }
                return true
            }
        }
    }

    @Test("Two things of one name cannot be wrapped in one folder")
    func sameName() async throws {
        try await withNode { node, base in
            try base.write("a/f", [1])
            try base.write("b/f", [2])
            var options = AddOptions()
            options.wrapping = .folder
            await #expect(throws: (any Error).self) {
                try await node.add([base.path + "/a/f", base.path + "/b/f"], options)
            }
        }
    }

    @Test("Cancelling ends the work, pins nothing and leaves a node that works")
    func cancelled() async throws {
        try await withNode { node, base in
            for index in 0..<300 {
                try base.write("in/\(index)", [UInt8](repeating: 7, count: 9000))
            }
            var options = AddOptions()
            options.profile.chunker = .size(16)
            let (begun, signal) = AsyncStream.makeStream(
                of: Void.self, bufferingPolicy: .bufferingNewest(1))
            let task = Task { [options] in
                try await node.add(
                    [base.path + "/in"], options,
                    observer: AddObserver(progress: { _ in signal.yield() }))
            }
            for await _ in begun { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let pins = try await node.store.pins()
            #expect(pins.isEmpty)
            let result = try await node.add([base.path + "/in/7"])
            #expect(result.roots.count == 1)
        }
    }

    @Test("References need raw leaves, and a changed file is noticed when it is read")
    func references() async throws {
        try await withNode { node, base in
            try base.write("f", [UInt8](repeating: 5, count: 3_000_000))
            var options = AddOptions()
            options.placement = .referenced
            let root = try await node.add([base.path + "/f"], options).roots[0].cid
            try await node.get("\(root)", to: base.path + "/g")
            #expect(try RandomTree.read(base.path)["g"] == RandomTree.read(base.path)["f"])

            try base.write("f", [UInt8](repeating: 6, count: 3_000_000))
            await #expect(throws: (any Error).self) {
                try await node.get("\(root)", to: base.path + "/h")
            }
            #expect(try RandomTree.read(base.path)["h"] == nil)
            options.profile = .v0_2015
            await #expect(throws: ImportError.referencesNeedRawLeaves) {
                try await node.add([base.path + "/f"], options)
            }
        }
    }
}
