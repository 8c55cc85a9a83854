/// What this program calls itself.
enum Product {
    static let name = "twinspace"
    static let version = "0.1.0"
    /// As the proxy's log shows it.
    static let agent = "\(name)/\(version)"
}
