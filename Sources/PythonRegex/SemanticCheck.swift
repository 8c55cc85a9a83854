/// What CPython finds only when it compiles the tree, after all faults of syntax.
enum SemanticCheck {
    /// - Throws: Without a position, as CPython does.
    static func check(_ nodes: [Node], flags: Flags) throws(PythonRegexError) {
        for node in nodes {
            switch node {
            case .literal, .notLiteral, .any, .set, .anchor, .backreference: break
            case .branch(let alternatives):
                for alternative in alternatives { try check(alternative, flags: flags) }
            case .group(_, let adding, let removing, let body):
                try check(body, flags: flags.adding(adding, removing: removing))
            case .atomic(let body): try check(body, flags: flags)
            case .quantified(let quantifier, _, _, let body):
                if flags.contains(.template) {
                    throw PythonRegexError("internal: unsupported template operator \(quantifier.opcode)")
                }
                try check(body, flags: flags)
            case .look(let look, let body):
                if case .behind(_, let width) = look {
                    if width.minimum != width.maximum {
                        throw PythonRegexError("look-behind requires fixed-width pattern")
                    }
                    if width.minimum > RegexLimits.maximumRepeat {
                        throw PythonRegexError("looks too much behind")
                    }
                }
                try check(body, flags: flags)
            case .conditional(_, _, let yes, let no):
                try check(yes, flags: flags)
                try check(no, flags: flags)
            }
        }
    }
}
