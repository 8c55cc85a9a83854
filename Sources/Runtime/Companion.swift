import CLibUV
import Glibc
import Journal
import TupleCore

/// The passive server that an active one starts by itself (`--spawn-passive`), and starts again a limited number of times.
final class Companion {
    /// Starts in all, for as long as this process lives.
    static let maximumStarts = 5
    private static let pause = Duration.milliseconds(500)

    private let options: ServerOptions
    private let loop: EventLoop
    private let logger: Logger
    private var child: ChildProcess?
    private var starts = 0
    private var isForgotten = false

    init(_ options: ServerOptions, on loop: EventLoop, logger: Logger) {
        self.options = options
        self.loop = loop
        self.logger = logger
    }

    /// Starts it, unless it runs already.
    func start(listening address: Address) {
        guard child == nil, !isForgotten else { return }
        let name = "\(options.name.name)-passive"
        guard starts < Companion.maximumStarts else {
            logger.log(.alert, "spawn-given-up", [("server", name), ("starts", "\(starts)")])
            return
        }
        starts += 1
        var arguments = [
            Companion.executablePath(), "--name", name, "--proxy", "\(options.proxy)",
            "--listen", "\(Address(host: address.host, port: 0))", "--data", "\(options.data)-passive",
            "--heartbeat-interval", options.heartbeatInterval.unitText,
            "--heartbeat-misses", "\(options.heartbeatMisses)", "--elements", options.rule.name,
            "--scrub-interval", options.scrubInterval.unitText, "--busy-poll", options.busyPolling.unitText,
        ]
        if let size = options.maximumSpaceBytes { arguments += ["--max-space", ByteSize.text(size)] }
        switch options.sync {
        case .always: arguments += ["--sync", "always"]
        case .interval: arguments += ["--sync", "interval"]
        case .never: arguments += ["--sync", "never"]
        }
        // What this server was told by its environment is not meant for the other one.
        let environment = ProcessEnvironment.variables().filter { !$0.key.hasPrefix("TWINSPACE_") }
        do throws(SystemError) {
            child = try ChildProcess(on: loop, arguments, environment: environment) { [unowned self] ending in
                self.child = nil
                self.logger.log(.warning, "spawned-passive-ended", [("server", name), ("ending", "\(ending)")])
                self.loop.after(Companion.pause) { [weak self] in self?.start(listening: address) }
            }
            logger.log(
                .info, "passive-spawned",
                [("server", name), ("pid", "\(child?.processID ?? 0)"), ("start", "\(starts)")])
        } catch {
            logger.log(.alert, "spawn-failed", [("server", name), ("reason", "\(error)")])
        }
    }

    /// It goes on by itself; it is told to stop by the protocol where the service ends.
    func forget() { isForgotten = true }

    private static func executablePath() -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        var length = buffer.count
        guard uv_exepath(&buffer, &length) == 0 else { return CommandLine.arguments[0] }
        return String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
