import Glibc
import Journal
import Replication
import TupleCore
import TupleStore

/// The main of `twinspace-server`.
package enum ServerProgram {
    package static func main() {
        let values = ServerOptions.specification.parseProcess()
        let options: ServerOptions
        do throws(OptionsError) { options = try ServerOptions(values) } catch {
            let text = Array("\(error)\n".utf8)
            _ = write(STDERR_FILENO, text, text.count)
            exit(OptionsError.exitCode)
        }
        let logger = Daemon.logger(values, program: ServerOptions.program)
        exit(run(options, logger))
    }

    private static func run(_ options: ServerOptions, _ logger: Logger) -> Int32 {
        let loop: EventLoop
        let searches: SearchThreads
        do throws(SystemError) {
            loop = try EventLoop()
            searches = try SearchThreads(on: loop)
        } catch { Daemon.fail(ServerOptions.program, "\(error)") }
        var imported: [Pair] = []
        if let file = options.importFile {
            do throws(TupleFile.Failure) { imported = try TupleFile.read(file, rule: options.rule) } catch {
                Daemon.fail(ServerOptions.program, "--import: \(error)")
            }
        }
        let journal: ServerJournal
        let recovered: ServerJournal.Recovered
        do throws(JournalError) {
            (journal, recovered) = try ServerJournal.open(
                options.data, rule: options.rule, policy: options.sync, on: loop)
        } catch {
            logger.log(.alert, "corruption", [("server", options.name.name), ("reason", "\(error)")])
            Daemon.fail(ServerOptions.program, "--data \(options.data): \(error)")
        }
        guard recovered.state.space.rule == options.rule else {
            Daemon.fail(
                ServerOptions.program,
                "--elements \(options.rule.name): the space in \(options.data) was created with --elements \(recovered.state.space.rule.name), and that cannot be changed"
            )
        }
        for warning in recovered.warnings { logger.log(.warning, "recovery", [("finding", warning)]) }
        do throws(ListenError) {
            let server = try ServerProcess(
                options, loop: loop, logger: logger, journal: journal, recovered: recovered, searches: searches,
                imported: imported)
            return server.run()
        } catch {
            Daemon.fail(ServerOptions.program, "--listen: \(error)")
        }
    }
}
