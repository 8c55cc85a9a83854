/// The answers that `batch` prints in the order of their requests, each as soon as those before it are there.
struct AnswerQueue {
    private enum Slot {
        case waiting(lineBytes: Int)
        case answered([UInt8])
    }

    /// Those that are not printed yet, behind those that were and are still in the way.
    private var slots: [Slot] = []
    private var printed = 0
    /// The number of the first slot of the array.
    private var firstNumber = 0
    /// What requests and answers that wait take.
    private(set) var bytes = 0
    /// Slots that were moved so far: what the work is measured in.
    private(set) var moves = 0

    var count: Int { slots.count - printed }

    /// - Returns: the request's number.
    mutating func add(lineBytes: Int) -> Int {
        slots.append(.waiting(lineBytes: lineBytes))
        bytes += lineBytes
        return firstNumber + slots.count - 1
    }

    /// - Precondition: the request is waiting.
    mutating func answer(_ number: Int, _ text: [UInt8]) {
        let place = number - firstNumber
        guard case .waiting(let lineBytes) = slots[place] else {
            preconditionFailure("a request of a batch is answered once")
        }
        // An answer counts until it is printed, so that one slow request at the head cannot pile them up without bound.
        bytes += text.count - lineBytes
        slots[place] = .answered(text)
    }

    /// The next answer in order; nil where it is not there yet.
    ///
    /// - Complexity: O(1), amortized.
    mutating func next() -> [UInt8]? {
        guard printed < slots.count, case .answered(let text) = slots[printed] else { return nil }
        slots[printed] = .waiting(lineBytes: 0)
        printed += 1
        bytes -= text.count
        if printed >= 64, 2 * printed >= slots.count {
            moves += slots.count - printed
            slots.removeFirst(printed)
            firstNumber += printed
            printed = 0
        }
        return text
    }
}
