import Runtime
import Testing

@testable import Benchmark

/// The options of `twinspace-bench scan`.
@Suite struct ScanSettingsTests {
    private func settings(_ arguments: String...) throws -> ScanSettings? {
        guard case .values(let values) = try ScanSettings.specification.parse(arguments, environment: [:]) else {
            return nil
        }
        return ScanSettings(values)
    }

    @Test func optionsAndTheirDefaults() throws {
        let usual = try #require(try settings())
        #expect(usual.pairs == 10_000_000 && usual.order == .random && usual.rounds == 5 && usual.only == nil)
        let given = try #require(
            try settings("--pairs", "5", "--order=ascending", "--rounds", "3", "--only", "no literal"))
        #expect(given.pairs == 5 && given.order == .ascending && given.rounds == 3 && given.only == "no literal")
    }

    @Test func helpIsNoError() throws {
        guard case .help(let page) = try ScanSettings.specification.parse(["--help"], environment: [:]) else {
            Issue.record("no help page")
            return
        }
        #expect(page.hasPrefix("Usage: twinspace-bench scan [OPTION]…\n"))
        #expect(BenchmarkProgram.run(["scan", "--version"], environment: [:]) == 0)
        #expect(throws: OptionsError.self) { try settings("--pairs", "0") }
        #expect(throws: OptionsError.self) { try settings("--pears", "1") }
    }
}
