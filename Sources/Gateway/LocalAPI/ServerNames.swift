// Names for the types of the HTTP server that are called the same as types of `Weft`.

import HTTPTypes
import Hummingbird
import HummingbirdCore

/// A request as it arrives.
typealias ServerRequest = Request
/// An answer as it leaves.
typealias ServerResponse = Response
/// The body of an answer, which writes itself.
typealias ServerBody = ResponseBody
