import Glibc
import Synchronization

/// A request without an answer.
struct LoadSlot {
    /// When it was sent, or was to be sent; 0 where the slot is free.
    var sentAt: UInt64 = 0
    /// The number of its first key; for PUT, of its first fresh one.
    var key: UInt64 = 0
    /// An operator's number.
    var op = 0
}

/// One connection: a client with its own session. A plain record, so that nothing is counted or copied on the way; what
/// it points to is `LoadRun`'s to give back.
struct LoadLane {
    enum Phase {
        case waiting, connecting, greeting, ready
    }

    var phase = Phase.waiting
    var descriptor: Int32 = -1
    let session: UInt64
    /// When to connect, while waiting.
    var retryAt: UInt64 = 0

    // The session's requests: those from `lowWater` below `nextSequence` have a slot each.
    var nextSequence: UInt64 = 1
    var lowWater: UInt64 = 1
    var inFlight = 0
    /// Requests that have ever been sent, for those that have a planned time.
    var issued: UInt64 = 0
    let slots: UnsafeMutablePointer<LoadSlot>
    let slotMask: UInt64

    // Bytes to be sent: output[begin..<end].
    let output: UnsafeMutableRawPointer
    var outputBegin = 0
    var outputEnd = 0
    var waitsForRoom = false

    // The beginning of a frame that is not yet whole.
    var partial: UnsafeMutableRawPointer?
    var partialCount = 0

    init(session: UInt64, depth: Int, frameBytes: Int) {
        self.session = session
        // Answers may overtake each other; room for that, within what a session allows.
        var capacity = 64
        while capacity < depth * 2 { capacity *= 2 }
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: LoadSlot(), count: capacity)
        slotMask = UInt64(capacity - 1)
        output = .allocate(byteCount: max(4096, depth * frameBytes), alignment: 16)
    }

    func deallocate() {
        if descriptor >= 0 { close(descriptor) }
        slots.deallocate()
        output.deallocate()
        partial?.deallocate()
    }

    /// Where the request with the number is kept.
    func slot(_ sequence: UInt64) -> UnsafeMutablePointer<LoadSlot> { slots + Int(sequence & slotMask) }

    /// Whether there is room for one more between low-water mark and the next number.
    var hasSlot: Bool { nextSequence &- lowWater <= slotMask }

    mutating func advanceLowWater() {
        while lowWater < nextSequence, slot(lowWater).pointee.sentAt == 0 { lowWater += 1 }
    }

    mutating func keepPartial(_ bytes: UnsafeRawPointer, _ count: Int, capacity: Int) {
        if count > 0 {
            let place = partial ?? .allocate(byteCount: capacity, alignment: 16)
            place.copyMemory(from: bytes, byteCount: count)
            partial = place
        }
        partialCount = count
    }
}

/// xorshift64*: quick, and good enough to draw keys and operators.
struct LoadRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed == 0 ? 0x9E37_79B9_7F4A_7C15 : seed }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

enum MonotonicClock {
    /// Nanoseconds since some moment before the process began.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

enum ProcessTime {
    /// CPU time of this process so far, user and system together, in nanoseconds.
    static func used() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Somebody wants the run to end.
enum Interruption {
    private static let flag = Atomic<Bool>(false)

    static var hasCome: Bool { flag.load(ordering: .relaxed) }

    /// From now on SIGINT and SIGTERM are noted instead of ending the process; the second one of a kind ends it.
    static func watch() {
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                Interruption.flag.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }
}
