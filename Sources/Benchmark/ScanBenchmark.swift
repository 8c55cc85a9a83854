import Glibc
import Runtime
import TupleCore
import TupleStore

/// `twinspace-bench scan`: what a pair takes in memory, and what GETs take that look through all of them, beside
/// PCRE2's bare calls for the same elements in the same run.
enum ScanBenchmark {
    /// - Returns: the exit code.
    static func run(_ arguments: [String], environment: [String: String]) -> Int32 {
        do throws(OptionsError) {
            switch try ScanSettings.specification.parse(arguments, environment: environment) {
            case .help(let page):
                BenchmarkProgram.write(page)
                return 0
            case .version(let line):
                BenchmarkProgram.write(line + "\n")
                return 0
            case .values(let values): return measure(ScanSettings(values))
            }
        } catch {
            BenchmarkProgram.writeError("\(error)\n")
            return OptionsError.exitCode
        }
    }

    private static func measure(_ settings: ScanSettings) -> Int32 {
        let before = ProcessMemory.residentBytes()
        let pairs = ScanPairs(count: settings.pairs, order: settings.order)
        let unloaded = ProcessMemory.residentBytes()
        let begin = ProcessorTime.nanoseconds()
        guard let space = pairs.space() else {
            write("twinspace-bench: two keys are alike")
            return 1
        }
        let loading = ProcessorTime.nanoseconds() - begin
        report(space, settings, loading, residentBytes: ProcessMemory.residentBytes() - (unloaded - before))
        let matcher = Matcher()
        writeRow(["scan", "floor ns", "space ns", "ratio", "examined", "found", "plan"])
        for question in ScanQuestion.all(pairs) where settings.only == nil || settings.only == question.name {
            guard let line = measure(question, space, pairs, matcher, settings) else {
                write("twinspace-bench: \(question.key) \(question.value): the answers differ, or there is none")
                return 1
            }
            writeRow(line)
        }
        reportUpdates(space, pairs)
        return 0
    }

    /// What an update takes while a snapshot is held, beside one without.
    private static func reportUpdates(_ original: Space, _ pairs: ScanPairs) {
        var space = original
        let count = min(pairs.count, 200_000)
        // Spread over all pages.
        let stride = max(1, pairs.count / count)
        func update(_ offset: Int) -> Double {
            let begin = ProcessorTime.nanoseconds()
            for index in 0..<count {
                let key = pairs.pair(index * stride % pairs.count).key
                let value = pairs.pair((index * stride + offset) % pairs.count).value
                _ = space.apply(.replaced(Pair(key: key, value: value)))
            }
            return (ProcessorTime.nanoseconds() - begin) / Double(count)
        }
        // The first round copies what `original` shares; the second finds all of it unshared.
        let first = update(1)
        let settled = update(2)
        let snapshot = space
        let held = update(3)
        let again = update(4)
        write(
            "\(count) updates spread over all pages, ns each: without a snapshot \(decimal(settled)); while one is held \(decimal(first)) and \(decimal(held)), later ones \(decimal(again)); \(snapshot.count) pairs"
        )
    }

    private static func report(_ space: Space, _ settings: ScanSettings, _ loading: Double, residentBytes: Int) {
        let map = space.map.statistics()
        let count = Double(max(1, settings.pairs))
        write(
            "pairs \(settings.pairs) of \(ScanPairs.elementBytes) + \(ScanPairs.elementBytes) bytes, put in \(settings.order.rawValue) order: \(decimal(loading / count)) ns a pair"
        )
        write(
            "bytes a pair: RSS \(decimal(Double(residentBytes) / count)), allocated \(decimal(Double(map.allocatedBytes) / count)), used \(decimal(Double(map.usedBytes) / count)); \(map.leafCount) leaves, \(map.branchCount) branches, height \(map.height)"
        )
    }

    /// The medians of floor and scan, taken in turn; nil where they do not find the same.
    private static func measure(
        _ question: ScanQuestion, _ space: Space, _ pairs: ScanPairs, _ matcher: Matcher, _ settings: ScanSettings
    ) -> [String]? {
        let payload = Term.list([.string([UInt8](question.key.utf8)), .string([UInt8](question.value.utf8))])
        guard let floor = ScanFloor(question.floor), let search = try? matcher.get(payload) else { return nil }
        var bare: [Double] = []
        var ours: [Double] = []
        var result = SearchResult(ending: .complete, pairs: [], examined: 0)
        for _ in 0..<settings.rounds {
            let start = ProcessorTime.nanoseconds()
            let found = floor.count(
                question.floorIsOfValues ? pairs.values : pairs.keys, elementBytes: ScanPairs.elementBytes)
            let middle = ProcessorTime.nanoseconds()
            result = matcher.run(search, in: space, work: .max)
            let end = ProcessorTime.nanoseconds()
            guard result.ending == .complete, result.pairs.count == found else { return nil }
            bare.append((middle - start) / Double(settings.pairs))
            ours.append((end - middle) / Double(settings.pairs))
        }
        bare.sort()
        ours.sort()
        let (low, high) = (bare[bare.count / 2], ours[ours.count / 2])
        return [
            "\(question.key)  \(question.value)", decimal(low), decimal(high), decimal(high / low),
            "\(result.examined)", "\(result.pairs.count)", question.name,
        ]
    }

    private static func writeRow(_ cells: [String]) {
        let widths = [34, 9, 9, 7, 9, 8, 0]
        write(
            zip(cells, widths).enumerated().map { column, cell in
                let blanks = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
                return column == 0 || column == 6 ? cell.0 + blanks : blanks + cell.0
            }.joined(separator: "  "))
    }

    /// With two digits behind the point.
    private static func decimal(_ number: Double) -> String {
        let hundredths = Int((number * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func write(_ line: String) {
        print(line)
        fflush(nil)
    }
}

/// A GET that is timed, and what PCRE2 is asked about each element beside it.
private struct ScanQuestion {
    let name: String
    let key: String
    let value: String
    let floor: String
    var floorIsOfValues = false

    static func all(_ pairs: ScanPairs) -> [ScanQuestion] {
        let middle = pairs.count / 2
        func keys(_ name: String, _ key: String) -> ScanQuestion {
            ScanQuestion(name: name, key: key, value: ".*", floor: key)
        }
        return [
            keys("a literal", ".*needle.*"), keys("a literal at the end", ".*tuv"),
            keys("a literal and more", "[a-z]*needle[0-9]?[a-z]*"),
            keys("a literal without case", "(?i).*NEEDLE.*"), keys("a literal everywhere", ".*q.*7.*3.*1.*2.*"),
            keys("no literal", "[a-z0-6]*[7-9][a-z]*"), keys("classes", "[a-f]{3}[0-9]+[a-z]*"),
            keys("alternatives", ".*(?:foobar|raboof).*"), keys("a prefix", "user.*"),
            keys("a prefix and more", "user[0-9]{2}.*"), keys("exact", pairs.key(middle)),
            ScanQuestion(
                name: "an exact value", key: ".*", value: pairs.value(middle), floor: pairs.value(middle),
                floorIsOfValues: true),
            ScanQuestion(
                name: "a value's literal", key: ".*", value: ".*abcde.*", floor: ".*abcde.*", floorIsOfValues: true),
            ScanQuestion(
                name: "a value's classes", key: ".*", value: "[a-f]{6}[0-9].*", floor: "[a-f]{6}[0-9].*",
                floorIsOfValues: true),
        ]
    }
}

/// What the system says about this process's memory.
enum ProcessMemory {
    /// Resident bytes; 0 where the system does not say.
    static func residentBytes() -> Int {
        let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 256)
        let count = read(file, &text, text.count)
        let fields = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// Processor time of this process, which has one thread here: what others do on the same machine meanwhile counts less
/// than in time on the wall.
enum ProcessorTime {
    static func nanoseconds() -> Double { Double(clock()) * 1e3 }
}
