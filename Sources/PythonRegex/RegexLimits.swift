/// What bounds a pattern, so that a hostile one is answered with an error instead of with work.
public enum RegexLimits {
    /// The longest pattern, in bytes of UTF-8.
    public static let maximumPatternBytes = 65_536
    /// How deep groups may nest. CPython's own limit is the interpreter's stack, at about 490.
    public static let maximumNesting = 200
    /// The longest translation that is given to PCRE2; what is longer runs on the matcher of this module.
    static let maximumTranslationBytes = 262_144
    /// How deep the groups of a translation may be nested, for the same reason.
    static let maximumTranslationNesting = 100
    /// The highest repeat count (and "without limit"), as `_sre.MAXREPEAT` of a 64-bit CPython.
    static let maximumRepeat = 4_294_967_295
    /// The number of groups that CPython allows.
    static let maximumGroups = 1_073_741_823
    /// The longest literal that the analysis for planning collects, in bytes.
    static let maximumLiteralBytes = 4_096
    /// PCRE2's highest count in a quantifier.
    static let maximumPCRE2Repeat = 65_535
}
