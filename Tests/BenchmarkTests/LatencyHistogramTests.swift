import Testing

@testable import Benchmark

@Suite struct LatencyHistogramTests {
    @Test func everyValueFallsIntoABucketThatHoldsIt() {
        var values: [UInt64] = [0, 1, 127, 128, 129, 255, 256, 257, .max, .max - 1]
        for power in 8..<64 {
            let base = UInt64(1) << UInt64(power)
            values += [base - 1, base, base + 1, base + base / 3]
        }
        for value in values {
            let bucket = LatencyHistogram.bucket(value)
            #expect(value <= LatencyHistogram.upperEnd(bucket))
            #expect(bucket == 0 || value > LatencyHistogram.upperEnd(bucket - 1))
        }
    }

    @Test func quantilesAreWithinOnePercent() {
        var histogram = LatencyHistogram()
        for value in 1...100_000 { histogram.record(UInt64(value) * 1_000) }
        for (fraction, exact) in [(0.5, 50_000_000.0), (0.9, 90_000_000), (0.99, 99_000_000), (0.999, 99_900_000)] {
            let found = Double(histogram.quantile(fraction))
            #expect(found >= exact && found <= exact * 1.01)
        }
        #expect(histogram.quantile(1) == 100_000_000)
        #expect(histogram.maximum == 100_000_000)
        #expect(histogram.count == 100_000)
    }

    @Test func sumsAndBeginnings() {
        var one = LatencyHistogram()
        #expect(one.quantile(0.5) == 0)
        one.record(5)
        var two = LatencyHistogram()
        two.record(1_000_000)
        one.add(two)
        #expect(one.count == 2 && one.maximum == 1_000_000 && one.quantile(0.5) == 5)
        one.removeAll()
        #expect(one.count == 0 && one.quantile(0.99) == 0)
    }
}
