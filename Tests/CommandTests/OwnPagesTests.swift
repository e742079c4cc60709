// The pages of `weft up` in Chromium: what they show, whether everybody can use them, and that
// what is of the owner is the owner's.

import ContractText
import Foundation
import Testing

@Suite(.serialized) struct OwnPagesTests {
    init() throws { try Browser.check() }

    /// A node that listens for pages, with something to show.
    struct Shown {
        let place: Workplace
        let node: RunningNode
        let pages: String
        let gallery: String
        let film: String

        /// - Parameter bandwidth: what it gives in blocks, a second; nil: as much as it can.
        init(bandwidth: String? = nil) throws {
            place = try Workplace()
            try place.isolate()
            if let bandwidth {
                let set = ["config", "set", "mesh.bandwidth-exchange-out", bandwidth]
                try #require(try place.run(set).status == 0)
            }
            // For its own pages it listens besides.
            node = try RunningNode(place, "--listen", "/ip4/127.0.0.1/tcp/0")
            pages = try #require(node.announcement["pages"] as? String)
            let drawing = Process()
            drawing.executableURL = DocumentationTests.root.appending(path: "Scripts/draw-media")
            drawing.arguments = [place.path("media"), "1"]
            try drawing.run()
            drawing.waitUntilExit()
            try #require(drawing.terminationStatus == 0)
            gallery = try Self.add(place, "media/gallery", "65536")
            film = try Self.add(place, "media/film", "131072")
        }

        private static func add(
            _ place: Workplace, _ name: String, _ size: String
        ) throws -> String {
            let added = try place.weft("add", "-q", "--chunker", "size-\(size)", place.path(name))
            return added.output.split(separator: "\n").last.map(String.init) ?? ""
        }

        /// What one of the tasks of own_pages.py, or of another script beside it, reports.
        func browse(
            _ task: String, _ arguments: [String: Any], by script: String = "own_pages.py"
        ) throws -> [String: Any] {
            let argument = try JSONSerialization.data(withJSONObject: arguments)
            let outcome = try place.python(
                "../Browsers/\(script)", [task, try place.write("\(task).json", argument)])
            #expect(outcome.status == 0, "\(outcome.errors)")
            return try outcome.object()
        }

        func dashboard() throws -> String { try place.weft("dashboard").output }
    }

    private static let areShown =
        "document.querySelectorAll('.picture button:not([disabled])').length === 12"

    /// A gallery whose pieces come from the node; the visitor's switch, which is off until it is
    /// turned on and stays as it was left.
    private static func gallery(_ shown: Shown) -> [[String: Any]] {
        let url = "\(shown.pages)gallery/#\(shown.gallery)"
        let status = "document.getElementById('status')"
        let see = """
            ({ title: document.title,
               rows: [...document.querySelectorAll('weft-cloth tbody tr')].map(
                 row => row.textContent),
               cells: document.querySelectorAll('.cloth rect').length,
               status: \(status).weft.status })
            """
        let turnOn = """
            \(status).shadowRoot.querySelector('input').click(), \(status).weft.serve
              && \(status).shadowRoot.querySelector('[role=status]').textContent
            """
        return [
            ["url": url, "until": areShown, "then": see],
            ["url": url, "until": "\(status).weft", "then": turnOn],
            [
                "url": shown.pages, "until": "\(status).weft !== undefined",
                "then": "\(status).weft.serve",
            ],
        ]
    }

    /// The film, of which the end is seen before its middle has come.
    private static func film(_ shown: Shown) -> [String: Any] {
        [
            "url": "\(shown.pages)video/#\(shown.film)/film.mp4",
            "until": "document.getElementById('film').readyState >= 2",
            "then": """
            (async () => {
              const film = document.getElementById('film')
              const seeked = new Promise(resolve => film.addEventListener('seeked', resolve))
              film.currentTime = 30
              await seeked
              return { time: film.currentTime, width: film.videoWidth, duration: film.duration,
                parts: document.querySelectorAll('#bar rect').length }
            })()
            """,
        ]
    }

    /// A call that the page runs itself, of a contract that calls two others; they are seen below
    /// it. Then two pages that run contracts for others, and a call on which they have to agree.
    private static func calls(_ shown: Shown) throws -> [[String: Any]] {
        let module = try shown.place.write(
            "both.wasm", Data(try ContractText.assemble(CallTests.text)))
        let contract = try shown.place.weft("add", "-q", module).output
        let url = "\(shown.pages)playground/#\(contract)/both"
        let see = """
            ({ answer: document.querySelector('#outcome pre').textContent,
               facts: document.querySelector('#outcome dl').textContent,
               calls: [...document.querySelectorAll('#calls li code')].map(
                 code => code.textContent) })
            """
        let own = """
            document.querySelectorAll('#calls li').length === 3
              || (document.getElementById('send').disabled
                || document.querySelector('#outcome pre') || !(document.querySelector(
                  'weft-status').hasAttribute('connected'))
                || (document.getElementById('where').value = 'page',
                  document.getElementById('send').click()), false)
            """
        // One peer is not two, and what was answered before is not shown as the answer.
        let alone = """
            document.getElementById('outcome').textContent.includes('2 peers have to agree')
              || (document.getElementById('send').disabled || ((globalThis.hasAnswer ||=
                  document.querySelector('#outcome pre') !== null)
                    && (document.getElementById('where').value = 'peers',
                      document.getElementById('audit').value = 'quorum:2'),
                document.getElementById('path').value = `hello?${performance.now()}`,
                document.getElementById('send').click()), false)
            """
        let seeFailure = """
            ({ card: document.getElementById('outcome').textContent,
               isTreeHidden: document.getElementById('tree').hidden,
               answers: document.querySelectorAll('#outcome pre, #outcome .status').length })
            """
        // Whatever was chosen before: who ticks this box runs contracts for others.
        let isServing = """
            document.getElementById('serving').checked
              ? document.getElementById('status').weft.status.peers.length > 0
                && document.getElementById('served').textContent !== ''
              : (document.getElementById('status').weft
                && (localStorage.setItem('weft-serve', 'no'),
                  document.getElementById('serving').click()), false)
            """
        // Until the node knows of both what they run, it computes itself.
        let agreed = """
            document.getElementById('outcome').textContent.includes('2 peers agree')
              || (document.getElementById('send').disabled
                || (document.getElementById('audit').value = 'quorum:2',
                  document.getElementById('path').value = `hello?${performance.now()}`,
                  document.getElementById('send').click()), false)
            """
        return [
            ["url": url, "until": own, "then": see],
            ["url": url, "until": alone, "then": seeFailure],
            ["url": url, "until": isServing, "then": "true"],
            ["url": url, "until": isServing, "then": "true"],
            ["url": url, "until": agreed, "then": see],
        ]
    }

    @Test("a gallery, a film and calls come from whom they say") func visits() throws {
        let shown = try Shown()
        defer { shown.node.stop() }
        let visits = try Self.gallery(shown) + [Self.film(shown)] + Self.calls(shown)
        let report = try shown.browse("visit", ["visits": visits])
        #expect((report["faults"] as? [String]) == [])
        let values = try #require(report["values"] as? [Any])
        try #require(values.count == 9)

        let gallery = try #require(values[0] as? [String: Any])
        #expect(gallery["title"] as? String == "Twelve fabrics · Weft")
        let rows = gallery["rows"] as? [String] ?? []
        #expect(rows.count == 1 && rows[0].contains("this node"), "\(rows)")
        #expect(gallery["cells"] as? Int ?? 0 > 80)
        let status = gallery["status"] as? [String: Any] ?? [:]
        #expect(status["serve"] as? Bool == false, "nobody is served unasked")
        let peers = status["peers"] as? [[String: Any]] ?? []
        #expect(peers.count == 1)
        #expect(peers.first?["bytesFetched"] as? Int == status["bytesFetched"] as? Int)
        #expect((values[1] as? String)?.hasPrefix("Other visitors now get") == true, "\(values[1])")
        #expect(values[2] as? Bool == true, "the choice holds for the next page")

        let film = try #require(values[3] as? [String: Any])
        #expect(film["time"] as? Double == 30 && film["width"] as? Int == 640, "\(film)")
        #expect(film["duration"] as? Double ?? 0 > 32 && film["parts"] as? Int ?? 0 > 2)

        let call = try #require(values[4] as? [String: Any])
        #expect(call["answer"] as? String == "hello hello ")
        #expect((call["facts"] as? String)?.contains("Answered bythis page") == true, "\(call)")
        let calls = call["calls"] as? [String] ?? []
        #expect(calls.map { $0.split(separator: "/").last } == ["both", "hello?a", "hello?b"])
        let failure = try #require(values[5] as? [String: Any])
        #expect((failure["card"] as? String)?.contains("and only 1 answered") == true, "\(failure)")
        #expect(failure["isTreeHidden"] as? Bool == true && failure["answers"] as? Int == 0)
        let agreed = try #require(values[8] as? [String: Any])
        #expect(agreed["answer"] as? String == "hello ", "\(agreed)")
    }

    /// The rules of axe-core hold for all pages, wide in light and narrow in dark.
    @Test("everybody can use the pages") func accessibility() throws {
        let shown = try Shown()
        defer { shown.node.stop() }
        let isConnected = "document.querySelector('weft-status').hasAttribute('connected')"
        let opened = """
            \(isConnected) && (document.querySelector('weft-status').shadowRoot
              .querySelector('details').open = true)
            """
        let report = try shown.browse(
            "access",
            [
                "pages": [
                    [shown.pages, opened],
                    ["\(shown.pages)gallery/#\(shown.gallery)", Self.areShown],
                    [
                        "\(shown.pages)video/#\(shown.film)/film.mp4",
                        "document.getElementById('film').readyState >= 2",
                    ],
                    ["\(shown.pages)playground/", isConnected],
                    [
                        try shown.dashboard(),
                        """
                        document.getElementById('set-storage-max')?.ariaValueText && (
                          document.querySelectorAll('#findings > li').length > 0
                          || document.getElementById('examine').click())
                        """,
                    ],
                    [shown.node.gateway, "document.querySelector('h1') !== null"],
                ]
            ])
        let found = report["found"] as? [String] ?? ["nothing was reported"]
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    /// Everything in the dashboard is reached by keys, and seen to be; a slider does what it says;
    /// and what has the focus keeps it when there is news.
    @Test("the dashboard works with the keyboard") func keyboard() throws {
        let (shown, there) = (try Shown(), try Workplace())
        defer { shown.node.stop() }
        try there.isolate()
        // It runs nothing itself.
        let friend = try RunningNode(
            there, environment: ["WEFT_WASMTIME": there.path("nowhere.so")])
        defer { friend.stop() }
        let address = try #require((shown.node.announcement["listen"] as? [String])?.first)
        #expect(try there.weft("connect", address).status == 0)
        let module = try shown.place.write(
            "module.wasm", Data(try ContractText.assemble(ContractText.many)))
        let many = try shown.place.weft("contract", "publish", "-q", module).output
        let call = ["fetch", "--audit", "none", "weft://\(many)/hello"]
        #expect(try there.run(call).status == 0)
        let report = try shown.browse(
            "keyboard",
            [
                "dashboard": try shown.dashboard(),
                "call": "\(friend.gateway)/weft/\(many)/hello?again",
            ])
        #expect((report["faults"] as? [String]) == [])
        #expect(report["first"] as? String == "To the content")
        #expect((report["unseen"] as? [Any])?.isEmpty == true, "\(report)")
        #expect(report["reached"] as? Int == report["stops"] as? Int, "\(report)")
        #expect(report["findings"] as? Int ?? 0 > 3)
        #expect(
            report["kept"] as? [String: Bool] == ["peer": true, "account": true, "open": true],
            "\(report)")
        let said = report["slider"] as? String ?? ""
        let value = try shown.place.weft("config", "get", "mesh.connections-max").output
        #expect(said == "Connections: \(value), from now on." && value == "150", "\(said) \(value)")
    }
}
