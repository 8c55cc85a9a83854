import Glibc

/// What every program does before anything else.
package enum ProcessStart {
    package enum Kind: Sendable {
        /// It ends when its work is done, as a command does.
        case command
        /// It runs until it is told to end.
        case daemon
    }

    /// To be called first in `main`, while there is one thread.
    ///
    /// - Standard descriptors that the caller has closed lead to `/dev/null`: or the next file or socket would get their
    ///   number, and what is printed would go there.
    /// - A file that may not grow further (`ulimit -f`) costs an error code, not the process; so does a reader that has
    ///   left.
    /// - A daemon that is told to end while it starts ends with status 0: nothing has been promised yet. SIGHUP, at which
    ///   it opens its log again later, does nothing before there is one.
    /// - A daemon's limit of descriptors becomes the hard one.
    package static func begin(as kind: Kind) {
        openStandardDescriptors()
        _ = signal(SIGXFSZ, SIG_IGN)
        Signal.ignoreBrokenPipes()
        guard kind == .daemon else { return }
        _ = signal(SIGHUP, SIG_IGN)
        // Only calls that are safe in a handler: there may be locks that this very thread holds.
        for number in [SIGTERM, SIGINT] { _ = signal(number, { _ in _exit(0) }) }
        DescriptorLimit.raise()
    }

    /// `open(2)` gives the lowest number that is free.
    private static func openStandardDescriptors() {
        for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) == -1 && errno == EBADF {
            let descriptor = open("/dev/null", O_RDWR)
            // Nobody could be told.
            if descriptor != number { _exit(1) }
        }
    }
}

/// How many descriptors the process may have open.
package enum DescriptorLimit {
    /// Where the hard limit is higher than what a kernel takes (`fs.nr_open`), this is asked for instead.
    private static let mostAskedFor: rlim_t = 1_048_576

    /// The soft limit; `Int.max` where there is none.
    package static var current: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the soft limit to the hard one, as far as the kernel lets it.
    package static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        let wanted = min(limit.rlim_max, max(limit.rlim_cur, mostAskedFor))
        guard wanted > limit.rlim_cur else { return }
        limit.rlim_cur = wanted
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Descriptors that are open now.
    ///
    /// - Complexity: O(open descriptors).
    package static func openCount() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // ".", ".." and the directory itself.
        return max(0, count - 3)
    }
}
