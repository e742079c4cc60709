// weft dashboard

import ArgumentParser
import Gateway
import IPLD
import Weft

struct OpenDashboard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dashboard",
        abstract: "Print a URL that opens the running node's dashboard in a browser.",
        discussion: """
            The URL works once, within ten minutes, on this machine; the page that it opens works \
            until the node stops, or twelve hours after it was used last. With --json an object \
            with url is printed.


            """ + Examples.text(("weft dashboard", "print a URL")))

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await LocalClient.with(common) { client in
            let answer = try await client.value(APICall("/weft/v1/dashboard"))
            try StandardOutput.line(
                common.json ? JSONText.text(of: answer) : answer["url"]?.text ?? "")
        }
    }
}
