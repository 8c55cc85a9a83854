import Runtime

/// What this program calls itself.
enum Product {
    static let name = "twinspace"
    static let version = Release.version
    /// As the proxy's log shows it.
    static let agent = "\(name)/\(version)"
}
