// What follows a handshake: frames of a length and encrypted bytes, each way with its own key
// (github.com/libp2p/specs, noise, "Wire Format").

import Cryptography
import Wire

/// The encrypted channel of a connection.
struct NoiseChannel {
    /// The most text that fits into one frame, in bytes.
    static let maxText = NoiseFrames.maxLength - ChaChaPoly.tagLength
    /// How many bytes a frame adds to its text.
    static let overhead = 2 + ChaChaPoly.tagLength

    private let sending: ChaChaPoly
    private let receiving: ChaChaPoly
    private var frames = NoiseFrames()

    init(sending: ChaChaPoly, receiving: ChaChaPoly) {
        self.sending = sending
        self.receiving = receiving
    }

    /// The text of the next whole frame, in memory of its own; nil if `input` has been used up
    /// before the frame's end.
    mutating func next(_ input: inout ByteReader) throws(NoiseFault) -> [UInt8]? {
        let receiving = self.receiving
        return try frames.next(&input) { (message) throws(NoiseFault) in
            do throws(CipherError) {
                return try receiving.open(message, authenticating: RawSpan())
            } catch {
                throw NoiseFault(error)
            }
        }
    }

    /// Starts a frame. Returns where it starts, for ``endFrame(at:in:)``.
    @_lifetime(output: copy output)
    func startFrame(in output: inout OutputRawSpan) throws(NoiseFault) -> Int {
        let start = output.byteCount
        output.append(0)
        output.append(0)
        do throws(CipherError) {
            try sending.start(authenticating: RawSpan())
        } catch {
            throw NoiseFault(error)
        }
        return start
    }

    /// Writes the next piece of a frame's text.
    @_lifetime(output: copy output)
    func write(_ text: RawSpan, to output: inout OutputRawSpan) throws(NoiseFault) {
        do throws(CipherError) {
            try sending.write(text, to: &output)
        } catch {
            throw NoiseFault(error)
        }
    }

    /// Ends a frame: its tag, and its length where it starts.
    @_lifetime(output: copy output)
    func endFrame(at start: Int, in output: inout OutputRawSpan) throws(NoiseFault) {
        do throws(CipherError) {
            try sending.finish(into: &output)
        } catch {
            throw NoiseFault(error)
        }
        output.replaceBigEndian(at: start, with: UInt16(output.byteCount - start - 2))
    }
}
