// The two ways in which multibases turn bytes into characters: groups of bits (RFC 4648), and one
// big number whose leading zeros are kept (base36, base58).

import Wire

/// How one multibase is written.
struct TextForm: Sendable {
    enum Grouping: Sendable {
        /// Each character stands for this many bits.
        case bits(Int)
        /// The characters are the digits of one number.
        case number
    }

    enum Letters: Sendable {
        /// The case of a letter says nothing.
        case caseless
        case caseful
    }

    let radix: Int
    let grouping: Grouping
    let letters: Letters
    /// Characters are filled up with `=` to a multiple of this.
    let padding: Int
    /// The characters by their value.
    let characters: [UInt8]
    /// The values by character; 255 for one outside the alphabet.
    let values: [UInt8]

    init(
        _ alphabet: StaticString, _ radix: Int, _ grouping: Grouping, _ letters: Letters,
        pad padding: Int = 1
    ) {
        self.radix = radix
        self.grouping = grouping
        self.letters = letters
        self.padding = padding
        characters = alphabet.withUTF8Buffer { unsafe Array($0.prefix(radix)) }
        values = Self.values(of: characters, letters)
    }

    private static func values(of characters: [UInt8], _ letters: Letters) -> [UInt8] {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in characters.enumerated() {
            values[Int(character)] = UInt8(value)
            guard letters == .caseless else { continue }
            switch character {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): values[Int(character - 32)] = UInt8(value)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): values[Int(character + 32)] = UInt8(value)
            default: break
            }
        }
        return values
    }
}

/// Characters that stand for a fixed number of bits each.
struct BitGroups {
    private let width: Int

    init(_ width: Int) { self.width = width }

    func encode(_ bytes: [UInt8], _ form: TextForm, to out: inout [UInt8]) {
        let start = out.count
        out.reserveCapacity(start + bytes.count * 8 / width + form.padding)
        let mask = UInt32(1 << width) - 1
        var bits: UInt32 = 0
        var held = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            held += 8
            while held >= width {
                held -= width
                out.append(form.characters[Int(bits >> UInt32(held) & mask)])
            }
            bits &= (1 << UInt32(held)) - 1
        }
        if held > 0 { out.append(form.characters[Int(bits << UInt32(width - held) & mask)]) }
        while (out.count - start) % form.padding != 0 { out.append(UInt8(ascii: "=")) }
    }

    func decode(_ text: RawSpan, _ form: TextForm) throws(DecodeError) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.byteCount * width / 8)
        var reader = ByteReader(text)
        var bits: UInt32 = 0
        var held = 0
        while let character = reader.peek, character != UInt8(ascii: "=") || form.padding == 1 {
            let value = form.values[Int(character)]
            guard value != 255 else {
                throw reader.error(.malformed, "the character is not of this base's alphabet")
            }
            try reader.skip(1)
            bits = bits << UInt32(width) | UInt32(value)
            held += width
            if held >= 8 {
                held -= 8
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
                bits &= (1 << UInt32(held)) - 1
            }
        }
        guard held < width else {
            throw reader.error(.malformed, "the text has a character too many or too few")
        }
        guard bits == 0 else {
            throw reader.error(.notCanonical, "the last character has stray bits")
        }
        try checkPadding(&reader, form)
        return out
    }

    private func checkPadding(
        _ reader: inout ByteReader, _ form: TextForm
    ) throws(DecodeError) {
        guard reader.remaining < form.padding, reader.bytes.byteCount % form.padding == 0 else {
            throw reader.error(.malformed, "the padding has the wrong length")
        }
        while let character = reader.peek {
            guard character == UInt8(ascii: "=") else {
                throw reader.error(.malformed, "there is a character after the padding")
            }
            try reader.skip(1)
        }
    }
}

/// All bytes as one number, most significant first; each leading zero byte is one zero digit.
struct RadixNumber {
    private let form: TextForm

    init(_ form: TextForm) { self.form = form }

    func encode(_ bytes: [UInt8], to out: inout [UInt8]) {
        let zeros = bytes.prefix { $0 == 0 }.count
        var digits = Self.convert(bytes.dropFirst(zeros), from: 256, to: form.radix)
        digits.append(contentsOf: repeatElement(0, count: zeros))
        out.append(contentsOf: digits.reversed().lazy.map { form.characters[Int($0)] })
    }

    func decode(_ text: RawSpan) throws(DecodeError) -> [UInt8] {
        var digits: [UInt8] = []
        digits.reserveCapacity(text.byteCount)
        var reader = ByteReader(text)
        while let character = reader.peek {
            guard form.values[Int(character)] != 255 else {
                throw reader.error(.malformed, "the character is not of this base's alphabet")
            }
            digits.append(form.values[Int(character)])
            try reader.skip(1)
        }
        let zeros = digits.prefix { $0 == 0 }.count
        var bytes = Self.convert(digits.dropFirst(zeros), from: form.radix, to: 256)
        bytes.append(contentsOf: repeatElement(0, count: zeros))
        bytes.reverse()
        return bytes
    }

    /// The digits of a number in another base, the least significant first.
    private static func convert(_ digits: ArraySlice<UInt8>, from: Int, to: Int) -> [UInt8] {
        let (source, target) = (Limbs(of: from), Limbs(of: to))
        // Limbs of the result, the least significant first.
        var result: [UInt64] = []
        result.reserveCapacity(digits.count / 4 + 2)
        for limb in source.gather(digits) {
            var carry = limb
            for index in result.indices {
                // Less than the product of both bases, because the carry is less than the source's.
                carry += result[index] * source.base
                result[index] = carry % target.base
                carry /= target.base
            }
            while carry > 0 {
                result.append(carry % target.base)
                carry /= target.base
            }
        }
        return target.scatter(result)
    }
}

/// As many digits of a base as fit 32 bits, taken as one: a number of n digits is converted in
/// (n / count)² steps.
private struct Limbs {
    let radix: UInt64
    /// How many digits are one limb.
    private(set) var count = 1
    /// One more than the largest limb.
    private(set) var base: UInt64

    init(of radix: Int) {
        self.radix = UInt64(radix)
        base = UInt64(radix)
        while base * self.radix <= 1 << 32 {
            base *= self.radix
            count += 1
        }
    }

    /// The limbs of a number, both the most significant first.
    func gather(_ digits: ArraySlice<UInt8>) -> [UInt64] {
        var limbs: [UInt64] = []
        limbs.reserveCapacity(digits.count / count + 1)
        var rest = digits.count
        var limb: UInt64 = 0
        for digit in digits {
            limb = limb * radix + UInt64(digit)
            rest -= 1
            guard rest % count == 0 else { continue }
            limbs.append(limb)
            limb = 0
        }
        return limbs
    }

    /// The digits of limbs, both the least significant first; without zeros at the end.
    func scatter(_ limbs: [UInt64]) -> [UInt8] {
        var digits: [UInt8] = []
        digits.reserveCapacity(limbs.count * count)
        for limb in limbs {
            var rest = limb
            for _ in 0..<count {
                digits.append(UInt8(truncatingIfNeeded: rest % radix))
                rest /= radix
            }
        }
        while digits.last == 0 { digits.removeLast() }
        return digits
    }
}
