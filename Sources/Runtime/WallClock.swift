import CLibUV

/// Wall-clock time: for people to read and for the log's idle times, never for timeouts.
package enum WallClock {
    /// Milliseconds since 1970 UTC.
    package static func milliseconds() -> Int64 {
        var time = uv_timeval64_t()
        uv_gettimeofday(&time)
        return time.tv_sec * 1000 + Int64(time.tv_usec) / 1000
    }

    /// `2026-11-21T10:20:30.123Z` as 24 bytes of ASCII. By integer arithmetic: independent of locale and time zone.
    /// Range: the years 0 to 9999; times beyond are shown as the nearest within.
    package static func appendTimestamp(_ milliseconds: Int64, to bytes: inout [UInt8]) {
        let clamped = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        let days = Int((clamped >= 0 ? clamped : clamped - 86_399_999) / 86_400_000)
        var rest = Int(clamped - Int64(days) * 86_400_000)
        let (year, month, day) = civil(daysSince1970: days)
        func digits(_ value: Int, _ width: Int) {
            var divisor = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                bytes.append(UInt8(48 + value / divisor % 10))
                divisor /= 10
            }
        }
        digits(year, 4)
        bytes.append(UInt8(ascii: "-"))
        digits(month, 2)
        bytes.append(UInt8(ascii: "-"))
        digits(day, 2)
        bytes.append(UInt8(ascii: "T"))
        digits(rest / 3_600_000, 2)
        rest %= 3_600_000
        bytes.append(UInt8(ascii: ":"))
        digits(rest / 60_000, 2)
        rest %= 60_000
        bytes.append(UInt8(ascii: ":"))
        digits(rest / 1000, 2)
        bytes.append(UInt8(ascii: "."))
        digits(rest % 1000, 3)
        bytes.append(UInt8(ascii: "Z"))
    }

    /// The proleptic Gregorian date. Years are counted from March, so that the leap day comes last, in eras of 400
    /// years (146,097 days); 719,468 days lie between 0000-03-01 and 1970-01-01.
    private static func civil(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
