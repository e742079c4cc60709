// A contract: weft://<cid>/greet?name=Ada answers a greeting.
//
// Each function that is exported by @c is a method. It reads the request, may fetch other contracts
// and content, writes the response, and ends. There is no clock, no file and no network.

import Weft

@c(greet)
public func greet() {
    let name = Request.parameter("name") ?? "world"
    Response.header("content-type", "text/plain; charset=utf-8")
    Response.write("Hello, \(name)!\n")
}
