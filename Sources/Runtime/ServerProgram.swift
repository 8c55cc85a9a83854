import Glibc
import Journal
import Replication
import TupleCore
import TupleStore

/// The main of `twinspace-server`.
package enum ServerProgram {
    package static func main() {
        ProcessStart.begin(as: .daemon)
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
        let watch: DiskWatch
        do throws(SystemError) {
            loop = try EventLoop(busyPolling: options.busyPolling)
            searches = try SearchThreads(on: loop)
            watch = try DiskWatch(options.name, logger: logger, patience: ServerJournal.patience)
        } catch { Daemon.fail(ServerOptions.program, "\(error)") }
        if let file = options.exportFile {
            // Not only at the end, when nobody can do anything about it any more.
            do throws(SystemError) { try ExportFile.check(file) } catch {
                Daemon.fail(ServerOptions.program, "--export-on-shutdown: \(error)")
            }
        }
        var imported: [Pair] = []
        if let file = options.importFile {
            do throws(TupleFile.Failure) { imported = try TupleFile.read(file, rule: options.rule) } catch {
                Daemon.fail(ServerOptions.program, "--import: \(error)")
            }
        }
        let storage: FileStorage
        let copy: DurableCopy
        do throws(StorageError) {
            storage = try FileStorage(path: options.data, zeroing: options.sync == .always ? .written : .allocated)
        } catch {
            Daemon.fail(ServerOptions.program, "--data \(options.data): \(error)")
        }
        let life: UInt64
        do throws(SystemError) { life = try randomUInt64() } catch { Daemon.fail(ServerOptions.program, "\(error)") }
        do throws(JournalError) {
            copy = try DurableCopy.open(
                storage: storage, rule: options.rule, settings: JournalSettings(syncPolicy: options.sync),
                start: DirectoryStart(name: options.name, life: life))
        } catch {
            Daemon.fail(ServerOptions.program, "--data \(options.data): \(error)")
        }
        tell(copy, of: options, logger)
        guard copy.state.space.rule == options.rule || copy.isSuspect else {
            Daemon.fail(
                ServerOptions.program,
                "--elements \(options.rule.name): the space in \(options.data) was created with --elements \(copy.state.space.rule.name), and that cannot be changed"
            )
        }
        let journal = ServerJournal(
            copy, storage: storage, policy: options.sync, scrubInterval: options.scrubInterval,
            on: DiskLanes(on: loop, watch: watch))
        journal.ruleOfEmptyState = copy.record?.rule ?? options.rule
        do throws(ListenError) {
            let server = try ServerProcess(
                options, loop: loop, logger: logger, journal: journal, copy: copy, searches: searches,
                imported: imported)
            return server.run()
        } catch {
            Daemon.fail(ServerOptions.program, "--listen: \(error)")
        }
    }

    /// What recovery found, for the operator.
    private static func tell(_ copy: DurableCopy, of options: ServerOptions, _ logger: Logger) {
        let server = ("server", options.name.name)
        for finding in copy.warnings { logger.log(.warning, "recovery", [server, ("finding", "\(finding)")]) }
        for text in copy.mended {
            logger.log(.alert, "corruption", [server, ("reason", text)])
            logger.log(.alert, "repaired", [server, ("reason", text)])
        }
        for text in copy.damage { logger.log(.alert, "corruption", [server, ("reason", text)]) }
        if copy.isSuspect {
            let reason = "this copy is not used before the active server has sent another one"
            logger.log(.alert, "copy-suspect", [server, ("reason", reason)])
        }
    }
}
