// What still works when the disk is full to the last byte, by a file that is not ours.

import Foundation
import Testing

@Suite struct FullDiskTests {
    /// Each of these is needed to get out of it: see what is there, read it, and have less of it.
    @Test("on a full disk content is read, unpinned and collected, with and without a node")
    func everything() throws {
        let place = try Workplace()
        try place.isolate()
        // The mount is gone with its namespace, and so is what is on it.
        let script = """
            set -euo pipefail
            PATH=$PATH:/usr/sbin:/sbin
            mkdir disk
            mount -t tmpfs -o size=24m none disk
            cp -r repository disk/r
            export WEFT_HOME=$PWD/disk/r
            weft() { '\(DocumentationTests.executable.path)' "$@"; }
            for kept in one two; do
                head -c 3000000 /dev/urandom > $kept
                weft add -q $kept > $kept.cid
            done
            head -c 3000000 /dev/urandom > three
            fill() { head -c 40000000 /dev/zero > disk/fill 2>/dev/null || true; }
            fill
            weft add -q three 2> refused && exit 3
            grep -q "no space" refused
            weft cat $(<one.cid) | cmp - one
            weft pin ls | grep -q $(<one.cid)
            test "$(weft config get fetch.deadline)" != ''
            weft pin rm $(<one.cid)
            weft pin rm $(<two.cid)
            weft repo gc
            weft add -q three
            rm disk/fill
            weft add -q two
            exec {node}< <(exec '\(DocumentationTests.executable.path)' up --json \\
                --gateway 127.0.0.1:0 --no-port-mapping)
            number=$!
            trap 'kill $number 2>/dev/null || true' EXIT
            read -r -u $node
            fill
            weft cat $(<two.cid) | cmp - two
            # The failure gives up what there is to spare.
            weft pin rm $(<two.cid) || weft pin rm $(<two.cid)
            kill $number
            cat <&$node
            weft repo check
            """
        let user = getuid() == 0 ? "" : "--user --map-root-user"
        try place.write("script", Data(script.utf8))
        let outcome = try place.shell("unshare --mount \(user) bash -x script")
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }
}
