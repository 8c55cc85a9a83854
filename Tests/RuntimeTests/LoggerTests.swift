import Glibc
import Testing

@testable import Runtime

@Suite struct LoggerTests {
    /// 2026-11-21T10:20:30.123Z
    private static let time: Int64 = 1_795_256_430_123

    private func lines(
        _ format: LogFormat = .text, minimum: LogLevel = .debug, _ body: (Logger) -> Void
    ) throws -> [String] {
        var lines: [String] = []
        let logger = try Logger(
            .function { lines.append(String(decoding: $0, as: UTF8.self)) }, format: format, clock: { Self.time })
        logger.minimumLevel = minimum
        body(logger)
        return lines
    }

    @Test func writesTheDocumentedLine() throws {
        let line = try lines { $0.log(.alert, "takeover", [("server", "b"), ("epoch", "8")]) }
        #expect(line == ["2026-11-21T10:20:30.123Z ALERT takeover server=b epoch=8\n"])
    }

    @Test func writesTheDocumentedJSON() throws {
        let line = try lines(.json) { $0.log(.warning, "disk", [("reason", "no \"space\" left"), ("path", "a\\b")]) }
        #expect(
            line == [
                #"{"time":"2026-11-21T10:20:30.123Z","level":"WARN","event":"disk","reason":"no \"space\" left","path":"a\\b"}"#
                    + "\n"
            ])
    }

    @Test func levelsBelowTheMinimumAreLeftOut() throws {
        let lines = try lines(minimum: .warning) { logger in
            for level in LogLevel.allCases { logger.log(level, "event") }
        }
        #expect(lines.map { $0.split(separator: " ")[1] } == ["WARN", "ERROR", "ALERT"])
    }

    @Test(arguments: [
        ("", #""""#), ("two words", #""two words""#), ("a=b", #""a=b""#), ("say \"hi\"", #""say \"hi\"""#),
        ("back\\slash", #""back\\slash""#),
        ("1\n2026-11-21T10:20:30.123Z ALERT takeover", #""1\n2026-11-21T10:20:30.123Z ALERT takeover""#),
        ("a\r\tb", #""a\r\tb""#), ("\u{1B}[2J", #""\u001b[2J""#), ("\u{0}", #""\u0000""#), ("\u{7F}", #""\u007f""#),
        ("\u{85}", #""\u0085""#), ("\u{2028}", #""\u2028""#), ("\u{202E}txt", #""\u202etxt""#), ("ü", #""ü""#),
        ("plain-value_1.2:3/[x]", "plain-value_1.2:3/[x]"),
    ])
    func valuesCannotForgeLinesOrFields(value: String, shown: String) throws {
        let text = try lines { $0.log(.info, "event", [("key", value)]) }
        #expect(text == ["2026-11-21T10:20:30.123Z INFO event key=\(shown)\n"])
        let json = try lines(.json) { $0.log(.info, "event", [("key", value)]) }
        let quoted = shown.hasPrefix("\"") ? shown : "\"\(shown)\""
        #expect(
            json == [#"{"time":"2026-11-21T10:20:30.123Z","level":"INFO","event":"event","key":\#(quoted)}"# + "\n"])
    }

    @Test func eventsAndKeysCannotForgeEither() throws {
        let line = try lines { $0.log(.info, "an event\n", [("a b=", "c")]) }
        #expect(line == ["2026-11-21T10:20:30.123Z INFO an_event_ a_b_=c\n"])
    }

    @Test func longValuesAndLinesAreCut() throws {
        let long = String(repeating: "x", count: 5000)
        let one = try lines { $0.log(.info, "event", [("key", long)]) }
        #expect(one[0].utf8.count < 1200)
        #expect(one[0].hasSuffix("…\"\n"))
        for format in LogFormat.allCases {
            let many = try lines(format) { $0.log(.info, "event", (0..<100).map { ("key\($0)", long) }) }
            #expect(many[0].utf8.count <= Logger.maximumLineBytes)
            #expect(many[0].contains("key0") && many[0].contains("cut"))
            #expect(many[0].hasSuffix("\n"))
        }
    }

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
        (Int64.max, "9999-12-31T23:59:59.999Z"), (Int64.min, "0000-01-01T00:00:00.000Z"),
    ])
    func timestamps(milliseconds: Int64, text: String) {
        var bytes: [UInt8] = []
        WallClock.appendTimestamp(milliseconds, to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test func aFileIsAppendedToAndFollowsRotation() throws {
        let folder = try temporaryFolder()
        defer { remove(folder) }
        let path = folder + "/log"
        defer { for name in [path, path + ".1"] { remove(name) } }
        let logger = try Logger(.file(path), clock: { Self.time })
        logger.log(.info, "first")
        rename(path, path + ".1")
        logger.log(.info, "second")
        logger.reopen()
        logger.log(.info, "third")
        let again = try Logger(.file(path), clock: { Self.time })
        again.log(.info, "fourth")
        #expect(
            contents(path + ".1").split(separator: "\n").compactMap { $0.split(separator: " ").last } == [
                "first", "second",
            ])
        #expect(
            contents(path).split(separator: "\n").compactMap { $0.split(separator: " ").last } == ["third", "fourth"])
    }

    @Test func aFileThatCannotBeOpenedIsAnError() {
        let error = #expect(throws: SystemError.self) { try Logger(.file("/no/such/folder/log")) }
        #expect(error?.description == "cannot open the log file /no/such/folder/log: no such file or directory")
    }

    @Test func aFullPipeCostsLinesNotTheProcess() throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        // The logger writes to the pipe by its path, as to a file.
        let logger = try Logger(.file("/proc/self/fd/\(ends[1])"), clock: { Self.time })
        for _ in 0..<3000 { logger.log(.info, "event", [("fill", String(repeating: "x", count: 100))]) }
        #expect(logger.droppedLines > 0)
        let dropped = logger.droppedLines
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var count = read(ends[0], &buffer, buffer.count)
        #expect(count > 0)
        logger.log(.info, "after")
        count = read(ends[0], &buffer, buffer.count)
        let text = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        #expect(text.contains("WARN log-lines-dropped count=\(dropped)\n"))
        #expect(text.hasSuffix("INFO after\n"))
        close(ends[0])
        logger.log(.info, "without a reader")
        #expect(logger.droppedLines == dropped + 1)
        close(ends[1])
    }

    private func temporaryFolder() throws -> String {
        var template = Array("/tmp/twinspace.XXXXXX".utf8CString)
        let made = mkdtemp(&template)
        try #require(made != nil)
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private func contents(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }
}
