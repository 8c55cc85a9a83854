public import TupleCore

/// Whole frames in a row, as the bytes that they are on the wire. What comes in one read is handed on as one run, and what
/// goes to one connection at the same moment leaves as one: nothing is made for each frame.
public struct FrameRun: Sendable, Sequence {
    private var storage: [UInt8]
    /// Where in `storage` the frames are. Every byte there belongs to a frame that is whole and whose checksums are right.
    private var range: Range<Int>
    public private(set) var count: Int

    public init() {
        storage = []
        range = 0..<0
        count = 0
    }

    public init(_ frame: Frame) {
        self.init()
        append(frame)
    }

    /// - Precondition: the bytes are so many frames, which were looked at.
    init(checked storage: [UInt8], _ range: Range<Int>, count: Int) {
        self.storage = storage
        self.range = range
        self.count = count
    }

    public var isEmpty: Bool { count == 0 }
    public var byteCount: Int { range.count }

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        storage.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// Makes room for so many bytes in all.
    public mutating func reserveCapacity(_ bytes: Int) { storage.reserveCapacity(range.lowerBound + bytes) }

    public mutating func append(_ frame: Frame) { append(frame.header, payload: frame.payload) }

    /// - Precondition: the payload is within ``Limits/maximumPayloadBytes``.
    public mutating func append(_ header: Header, payload: ArraySlice<UInt8>) {
        precondition(payload.count <= Limits.maximumPayloadBytes, "senders cut what is longer into several frames")
        payload.withUnsafeBytes { append(header, $0, checksum: Frame.checksum($0)) }
    }

    /// The same with the payload of a frame that was received, and whose checksum was looked at then.
    public mutating func append(_ header: Header, payloadOf frame: FrameInPlace) {
        append(header, frame.payload, checksum: frame.checksum)
    }

    /// The same with a payload that many frames have, and that was prepared once.
    public mutating func append(_ header: Header, _ payload: PreparedPayload) {
        payload.bytes.withUnsafeBytes { append(header, $0, checksum: payload.checksum) }
    }

    private mutating func append(_ header: Header, _ payload: UnsafeRawBufferPointer, checksum: UInt32) {
        separate()
        // Made aside and copied: where it goes memory is mostly cold, and is touched once.
        withUnsafeTemporaryAllocation(byteCount: Header.byteCount, alignment: 8) { bytes in
            header.write(payloadBytes: payload.count, checksum: checksum, to: bytes)
            storage.append(contentsOf: UnsafeRawBufferPointer(bytes))
        }
        storage.append(contentsOf: payload)
        range = range.lowerBound..<storage.count
        count += 1
    }

    /// Frames of another run may follow in the same memory.
    private mutating func separate() {
        if range.upperBound != storage.count {
            self = FrameRun(checked: [UInt8](storage[range]), 0..<range.count, count: count)
        }
    }

    /// The same with a payload that `encode` appends; it must not touch what is there.
    public mutating func append(_ header: Header, encode: (inout [UInt8]) -> Void) {
        separate()
        let begin = storage.count
        Header.reserve(in: &storage)
        encode(&storage)
        storage.withUnsafeMutableBytes { bytes in
            let payload = UnsafeRawBufferPointer(rebasing: bytes[(begin + Header.byteCount)...])
            precondition(payload.count <= Limits.maximumPayloadBytes, "senders cut what is longer into several frames")
            header.write(
                payloadBytes: payload.count, checksum: Frame.checksum(payload),
                to: UnsafeMutableRawBufferPointer(rebasing: bytes[begin..<begin + Header.byteCount]))
        }
        range = range.lowerBound..<storage.count
        count += 1
    }

    /// Takes the first frames out, which are so many in so many bytes.
    mutating func removeFirst(_ frames: Int, bytes: Int) -> FrameRun {
        let first = FrameRun(checked: storage, range.lowerBound..<range.lowerBound + bytes, count: frames)
        range = range.lowerBound + bytes..<range.upperBound
        count -= frames
        if range.isEmpty {
            self = FrameRun()
        } else if range.lowerBound > 65_536, range.lowerBound > storage.count / 2 {
            storage.removeSubrange(..<range.lowerBound)
            range = 0..<storage.count
        }
        return first
    }

    /// Hands the frames to `body` where they lie, until it returns false. They are valid only inside it.
    public func forEachInPlace(_ body: (FrameInPlace) -> Bool) {
        withUnsafeBytes { bytes in
            var at = 0
            while at < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
                let (header, length) = Header.read(rest)
                let first = at + Header.byteCount
                let frame = FrameInPlace(
                    header: header, payload: UnsafeRawBufferPointer(rebasing: bytes[first..<first + length]),
                    checksum: Header.readChecksum(rest), offset: at)
                guard body(frame) else { return }
                at = first + length
            }
        }
    }

    /// The frame that begins at an offset that ``forEachInPlace(_:)`` told.
    public func frame(at offset: Int) -> Frame {
        var rest = Iterator(storage[(range.lowerBound + offset)..<range.upperBound])
        guard let frame = rest.next() else { preconditionFailure("no frame begins at this offset") }
        return frame
    }

    public func makeIterator() -> Iterator { Iterator(storage[range]) }

    public struct Iterator: IteratorProtocol {
        private let bytes: ArraySlice<UInt8>
        private var at: Int

        fileprivate init(_ bytes: ArraySlice<UInt8>) {
            self.bytes = bytes
            at = bytes.startIndex
        }

        public mutating func next() -> Frame? {
            guard at < bytes.endIndex else { return nil }
            let (header, length) = bytes.withUnsafeBytes { raw in
                Header.read(UnsafeRawBufferPointer(rebasing: raw[(at - bytes.startIndex)...]))
            }
            let first = at + Header.byteCount
            at = first + length
            return Frame(checked: header, payload: bytes[first..<at])
        }
    }
}

/// A frame among others, in the bytes of its run; it is valid as long as they are looked at.
public struct FrameInPlace {
    public let header: Header
    public let payload: UnsafeRawBufferPointer
    fileprivate let checksum: UInt32
    /// What ``FrameRun/frame(at:)`` takes.
    public let offset: Int
}

/// A payload with its checksum.
public struct PreparedPayload: Sendable {
    let bytes: [UInt8]
    let checksum: UInt32

    /// - Precondition: the payload is within ``Limits/maximumPayloadBytes``.
    public init(_ bytes: [UInt8]) {
        precondition(bytes.count <= Limits.maximumPayloadBytes, "senders cut what is longer into several frames")
        self.bytes = bytes
        checksum = bytes.withUnsafeBytes { Frame.checksum($0) }
    }
}

/// Frames in a row of which the first ones may leave before the others.
public struct FrameQueue: Sendable {
    private var run = FrameRun()
    /// What is released together: behind which entry of the log, and how many frames in how many bytes.
    private var groups: [(index: LogIndex, frames: Int, bytes: Int)] = []
    private var begin = 0

    public init() {}

    public var isEmpty: Bool { run.isEmpty }

    /// Adds a frame that may leave when the log is committed up to this index, and all before it have left.
    public mutating func append(_ header: Header, after index: LogIndex, encode: (inout [UInt8]) -> Void) {
        let before = run.byteCount
        run.append(header, encode: encode)
        appended(run.byteCount - before, after: index)
    }

    public mutating func append(_ header: Header, _ payload: PreparedPayload, after index: LogIndex) {
        run.append(header, payload)
        appended(Header.byteCount + payload.bytes.count, after: index)
    }

    private mutating func appended(_ bytes: Int, after index: LogIndex) {
        if begin < groups.count, groups[groups.count - 1].index == index {
            groups[groups.count - 1].frames += 1
            groups[groups.count - 1].bytes += bytes
        } else {
            groups.append((index, 1, bytes))
        }
    }

    /// Hands over every frame that waits for nothing any more; nil where there is none.
    public mutating func release(committed: LogIndex) -> FrameRun? {
        var frames = 0
        var bytes = 0
        while begin < groups.count, groups[begin].index <= committed {
            frames += groups[begin].frames
            bytes += groups[begin].bytes
            begin += 1
        }
        if begin == groups.count {
            groups.removeAll(keepingCapacity: groups.capacity <= 4_096)
            begin = 0
        } else if begin > 1_024, begin > groups.count / 2 {
            groups.removeSubrange(..<begin)
            begin = 0
        }
        return frames > 0 ? run.removeFirst(frames, bytes: bytes) : nil
    }
}
