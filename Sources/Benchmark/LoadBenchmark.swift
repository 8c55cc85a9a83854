import Glibc
import Runtime

/// `twinspace-bench load`.
enum LoadBenchmark {
    /// - Returns: the exit code.
    static func run(_ arguments: [String], environment: [String: String]) -> Int32 {
        do throws(OptionsError) {
            switch try LoadSettings.specification.parse(arguments, environment: environment) {
            case .help(let page):
                BenchmarkProgram.write(page)
                return 0
            case .version(let line):
                BenchmarkProgram.write(line + "\n")
                return 0
            case .values(let values):
                let settings = try LoadSettings(values) { () throws(SystemError) in try randomUInt64() }
                return measure(settings, asJSON: values.isOn("json"))
            }
        } catch {
            BenchmarkProgram.writeError("\(error)\n")
            return OptionsError.exitCode
        }
    }

    private static func measure(_ settings: LoadSettings, asJSON: Bool) -> Int32 {
        do throws(LoadError) {
            var run = LoadRun(settings, try SocketTarget(settings.proxy))
            let report = try run.measure()
            BenchmarkProgram.write(asJSON ? report.json : report.text)
            return report.failures == 0 ? 0 : 1
        } catch {
            BenchmarkProgram.writeError("\(LoadSettings.specification.program): \(error)\n")
            return 1
        }
    }
}

/// Why nothing could be measured.
enum LoadError: Error, CustomStringConvertible {
    case system(SystemError)
    case resolution(Address, String)
    /// Not all connections were made in time; the last thing that went wrong, if anything did.
    case unreachable(Address, String)
    case depth(wanted: Int, allowed: Int)
    case protocolBroken(String)

    var description: String {
        switch self {
        case .system(let error): "\(error)"
        case .resolution(let address, let reason): "cannot resolve \(address.host): \(reason)"
        case .unreachable(let address, let reason):
            "cannot connect to \(address): \(reason). Is the proxy running, and its --max-clients large enough?"
        case .depth(let wanted, let allowed): "--depth \(wanted): the proxy takes \(allowed) requests in flight"
        case .protocolBroken(let what): "the proxy sent what is no answer: \(what)"
        }
    }
}
