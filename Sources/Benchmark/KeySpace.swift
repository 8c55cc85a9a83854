/// Which keys a load uses: the numbers below a count. Fresh ones come in an order that is as good as random, each once
/// before any comes again, without a table: an insertion in order would flatter a sorted store.
struct KeySpace {
    let count: UInt64
    private let step: UInt64

    /// - Precondition: `count` is at least 1 and below 2^32.
    init(count: UInt64) {
        precondition(count >= 1 && count < 1 << 32)
        self.count = count
        // Near the golden ratio of the count, and without a common divisor: then each number comes up once.
        var step = UInt64(Double(count) * 0.618_033_988_749_895) | 1
        while KeySpace.greatestCommonDivisor(step, count) != 1 { step += 1 }
        self.step = step
    }

    /// The key of the `index`th fresh one.
    func fresh(_ index: UInt64) -> UInt64 {
        index % count * step % count
    }

    /// - Parameter random: any 64 bits.
    func any(_ random: UInt64) -> UInt64 { random.multipliedFullWidth(by: count).high }

    private static func greatestCommonDivisor(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var (a, b) = (a, b)
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }
}
