// dag-cbor, IPLD's binary codec with links (ipld.io/specs/codecs/dag-cbor/spec), and plain cbor.

public import Multiformats
public import Wire

/// dag-cbor: one form for each value.
public enum DagCBOR {
    /// Decodes a block that is dag-cbor in its only canonical form: shortest heads, sorted and
    /// unique text keys, 64-bit finite floats other than negative zero, no tag but 42, nothing
    /// after the value, at most ``Value/maxDepth`` deep.
    public static func decode(_ block: RawSpan) throws(DecodeError) -> Value {
        var builder = ValueBuilder()
        var parser = CBORParser(block, .canonical)
        try parser.parse(into: &builder)
        return builder.result
    }

    /// The block of a value; maps are sorted. Throws for numbers without a form, a repeated key
    /// and too much depth.
    public static func encode(_ value: Value) throws(EncodeError) -> [UInt8] {
        var encoder = CBOREncoder(.canonical)
        try encoder.append(value)
        return encoder.out
    }

    /// The CIDs that a block links to, in order. Unlike ``decode(_:)`` it takes the forms that old
    /// encoders wrote (unsorted keys, padded heads, short floats), because a DAG that holds such
    /// a block must be kept and walked whole; it keeps nothing but the links in memory.
    public static func links(in block: RawSpan) throws(DecodeError) -> [CID] {
        var collector = LinkCollector()
        var parser = CBORParser(block, .historical)
        try parser.parse(into: &collector)
        return collector.links
    }
}

/// Plain CBOR, as far as the data model reaches: text keys, no tags and so no links.
public enum CBOR {
    /// Decodes one item in any well-formed encoding; undefined becomes null.
    public static func decode(_ block: RawSpan) throws(DecodeError) -> Value {
        var builder = ValueBuilder()
        var parser = CBORParser(block, .plain)
        try parser.parse(into: &builder)
        return builder.result
    }

    /// The bytes of a value without links, maps in the order they have.
    public static func encode(_ value: Value) throws(EncodeError) -> [UInt8] {
        var encoder = CBOREncoder(.plain)
        try encoder.append(value)
        return encoder.out
    }
}
