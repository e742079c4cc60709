// Damage that a person may meet: a damaged index, and disks and files that may not grow further.

import Foundation
import Testing

@Suite struct RepairTests {
    /// Files in a new repository.
    private static func filled(_ place: Workplace) throws -> String {
        try place.isolate()
        for number in 0..<300 {
            try place.write("album/\(number).txt", Data("file \(number) of the album\n".utf8))
        }
        return try place.weft("add", "-q", "album").output
    }

    /// Runs a statement on the index, as a person with `sqlite3` would.
    private static func execute(_ sql: String, _ place: Workplace) throws {
        let outcome = try place.shell(
            """
            python3 - "$WEFT_HOME/store/index.sqlite" <<'END'
            import sqlite3, sys
            base = sqlite3.connect(sys.argv[1])
            base.execute(\"\"\"\(sql)\"\"\")
            base.commit()
            END
            """)
        #expect(outcome.status == 0, "\(outcome.errors)")
    }

    private static func expectWhole(_ place: Workplace, _ root: String) throws {
        let check = try place.weft("repo", "check", "--json")
        #expect(check.status == 0, "\(check.output)")
        #expect(try place.weft("get", "-o", "copy", root).status == 0)
        #expect(try place.shell("diff -r album copy").status == 0)
        #expect(try place.weft("pin", "ls", "--json").output.contains(root))
        // What was mended must also be kept by a collection.
        #expect(try place.weft("repo", "gc", "--json").status == 0)
        #expect(try place.weft("cat", "\(root)/299.txt").output == "file 299 of the album")
    }

    @Test(
        "an index with wrong or missing rows is reported, and mended",
        arguments: [
            "DELETE FROM blocks WHERE key IN (SELECT key FROM blocks LIMIT 1)",
            "UPDATE blocks SET offset = offset + 7 WHERE key IN (SELECT key FROM blocks LIMIT 3)",
            "DELETE FROM pins",
        ])
    func rows(sql: String) throws {
        let place = try Workplace()
        let root = try Self.filled(place)
        try Self.execute(sql, place)
        let found = try place.weft("repo", "check")
        #expect(found.status == 1)
        #expect(found.errors.contains("weft repo check --repair"))
        #expect(!found.output.contains("does not match its hash"))
        let repaired = try place.weft("repo", "check", "--repair", "--json")
        #expect(repaired.status == 0, "\(repaired.output)")
        #expect(try repaired.objects().last?["repaired"] as? Bool == true)
        try Self.expectWhole(place, root)
    }

    @Test("an index whose pages were overwritten is built anew, when no node runs")
    func pages() throws {
        let place = try Workplace()
        let root = try Self.filled(place)
        let index = place.repository + "/store/index.sqlite"
        // From the third page on, so that the file still opens as a database.
        let damage = try place.shell(
            "for page in 2 3 4; do head -c 900 /dev/urandom | dd conv=notrunc bs=1 "
                + "seek=$((page * 4096)) of='\(index)' status=none; done")
        #expect(damage.status == 0)
        let found = try place.weft("repo", "check")
        #expect(found.status == 1)
        #expect((found.output + found.errors).contains("damaged"))
        let repaired = try place.weft("repo", "check", "--repair")
        #expect(repaired.status == 0, "\(repaired.output)\(repaired.errors)")
        #expect(repaired.output.contains("building the index anew"))
        try Self.expectWhole(place, root)
    }

    @Test("with a running node, a repair that needs a new index is refused with what to do")
    func withNode() throws {
        let place = try Workplace()
        let root = try Self.filled(place)
        try Self.execute("UPDATE blocks SET length = 1 << 40 WHERE segment > 0", place)
        let node = try RunningNode(place, "--offline")
        let refused = try place.weft("repo", "check", "--repair")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("stop it"), "\(refused.errors)")
        node.stop()
        #expect(try place.weft("repo", "check", "--repair").status == 0)
        try Self.expectWhole(place, root)
    }

    @Test("a limit on the size of files ends an addition with a clear error and loses nothing")
    func fileSizeLimit() throws {
        let place = try Workplace()
        let root = try Self.filled(place)
        let size = 40 << 20
        let make = "head -c \(size) /dev/urandom > large.bin"
        #expect(try place.shell(make).status == 0)
        for limit in [4, 64, 1024, 10_000] {
            let outcome = try place.shell("ulimit -f \(limit); weft add -q large.bin; exit $?")
            #expect(outcome.status == 1, "\(limit): \(outcome.status)")
            #expect(outcome.errors.contains("no space left"), "\(limit): \(outcome.errors)")
            #expect(outcome.errors.contains("ulimit -f"), "\(limit): \(outcome.errors)")
        }
        let target = try place.shell(
            "weft add -q large.bin > cid; ulimit -f 1024; weft get $(cat cid)")
        #expect(target.status == 1)
        #expect(target.errors.contains("File too large"), "\(target.errors)")
        try Self.expectWhole(place, root)
    }
}
