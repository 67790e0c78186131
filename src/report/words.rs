//! Numbers, times and confidences as people say them; shared by all formats made for people.

use super::epoch::Epoch;

/// `192.0.2.1` of `192.0.2.1:25`, `2001:db8::1` of `[2001:db8::1]:25`.
pub(super) fn host(endpoint: &str) -> &str {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// `23,227`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 flow`, `3 flows`.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `0.4 ms`, `350 ms`, `2.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn duration(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // saturating is what is wanted
    let whole = seconds.round() as u64;
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big} {big_unit}")
        } else {
            format!("{big} {big_unit} {small} {small_unit}")
        }
    };
    if !seconds.is_finite() {
        "unknown".to_owned()
    } else if seconds < 0.0 {
        format!("-{}", duration(-seconds))
    } else if seconds == 0.0 {
        "0 s".to_owned()
    } else if seconds < 0.000_999_5 {
        format!("{} µs", trim(seconds * 1e6, 0))
    } else if seconds < 0.099_5 {
        format!("{} ms", trim(seconds * 1e3, 1))
    } else if seconds < 0.999_5 {
        format!("{} ms", trim(seconds * 1e3, 0))
    } else if seconds < 99.95 {
        format!("{} s", trim(seconds, if seconds < 10.0 { 2 } else { 1 }))
    } else if whole < 3600 {
        two(whole / 60, "min", whole % 60, "s")
    } else if whole < 86_400 {
        let minutes = (whole + 30) / 60;
        two(minutes / 60, "h", minutes % 60, "min")
    } else {
        let hours = (whole + 1800) / 3600;
        two(hours / 24, "d", hours % 24, "h")
    }
}

/// `512 B`, `1.5 kB`, `23 MB`: powers of 1000.
pub(super) fn octets(number: u64) -> String {
    scaled(number, "B")
}

#[allow(clippy::cast_precision_loss)] // three digits are shown
fn scaled(number: u64, unit: &str) -> String {
    const PREFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if number < 1000 {
        return format!("{number} {unit}");
    }
    let mut value = number as f64;
    let mut prefix = "";
    for next in PREFIXES {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    format!("{} {prefix}{unit}", three_digits(value))
}

/// `557 bit/s`, `60 Mbit/s`.
pub(super) fn rate(bits: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // saturating is what is wanted
    scaled(bits.round() as u64, "bit/s")
}

/// `0.3 %`; what is not nothing never shows as `0 %`.
#[allow(clippy::cast_precision_loss)]
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.01 {
        "<0.01 %".to_owned()
    } else if percent < 1.0 {
        format!("{} %", trim(percent, 2))
    } else if part < whole && percent > 99.9 {
        ">99.9 %".to_owned()
    } else {
        format!("{} %", trim(percent, 1))
    }
}

/// A bar as high as `value` is beside the `most` that there is: what is not nothing shows.
pub(crate) fn bar(value: u64, most: u64) -> char {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighths = (u128::from(value) * 8).div_ceil(u128::from(most.max(1)));
    let bar = usize::try_from(eighths).ok().and_then(|n| BARS.get(n));
    bar.copied().unwrap_or('█')
}

fn three_digits(value: f64) -> String {
    trim(
        value,
        if value < 9.995 {
            2
        } else if value < 99.95 {
            1
        } else {
            0
        },
    )
}

/// With so many decimal places, trailing zeros left out.
fn trim(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `2010-01-05 15:22:00.123` in UTC.
pub(super) fn moment(time: Epoch) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0.0)).map_or_else(
        |_| time.decimal(),
        |t| t.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
    )
}

/// How sure a finding is, in one word (the bounds are those of [`crate::detect::Finding::confidence`]).
pub(super) const fn confidence(value: f64) -> &'static str {
    if value >= 0.95 {
        "proven"
    } else if value >= 0.6 {
        "likely"
    } else if value >= 0.3 {
        "possible"
    } else {
        "cannot tell"
    }
}

/// First letter in upper case, and a full stop where the text has no end mark.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    // Host names, addresses and the like stay as they are written.
    let first_word = text.split_whitespace().next().unwrap_or_default();
    let is_word = first_word
        .trim_end_matches([',', ':', ';'])
        .chars()
        .all(|c| c.is_lowercase() || c == '-' || c == '\'');
    let mut out = if is_word {
        first.to_uppercase().chain(chars).collect()
    } else {
        text.to_owned()
    };
    if !out.ends_with(['.', '!', '?', '…', ':']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Timestamp;

    #[test]
    fn hosts_of_endpoints() {
        for (endpoint, want) in [
            ("192.0.2.1:25", "192.0.2.1"),
            ("[2001:db8::1]:25", "2001:db8::1"),
            ("strange", "strange"),
        ] {
            assert_eq!(host(endpoint), want);
        }
    }

    #[test]
    fn numbers() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (23_227, "23,227"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), want);
        }
        for (number, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 kB"),
            (999_999, "1 MB"),
            (23_000_000, "23 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(octets(number), want);
        }
        for (part, whole, want) in [
            (0, 5, "0 %"),
            (1, 1_000_000, "<0.01 %"),
            (3, 1000, "0.3 %"),
            (1, 3, "33.3 %"),
            (9_999, 10_000, ">99.9 %"),
            (5, 5, "100 %"),
            (5, 0, "0 %"),
        ] {
            assert_eq!(share(part, whole), want, "{part}/{whole}");
        }
        assert_eq!(rate(4456.0), "4.46 kbit/s");
        assert_eq!(rate(60e6), "60 Mbit/s");
        assert_eq!(rate(f64::NAN), "0 bit/s");
    }

    #[test]
    fn times() {
        for (seconds, want) in [
            (0.0, "0 s"),
            (0.000_25, "250 µs"),
            (0.000_999_9, "1 ms"),
            (0.012_3, "12.3 ms"),
            (0.35, "350 ms"),
            (0.999_9, "1 s"),
            (2.5, "2.5 s"),
            (59.96, "60 s"),
            (200.0, "3 min 20 s"),
            (3_599.6, "1 h"),
            (7_500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
            (-1.0, "-1 s"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(duration(seconds), want, "{seconds}");
        }
        let at = Epoch(Timestamp(1_262_704_920_123_456_789));
        assert_eq!(moment(at), "2010-01-05 15:22:00.123");
    }

    #[test]
    fn sentences() {
        for (text, want) in [
            ("the server waits", "The server waits."),
            ("hub1.example waits", "hub1.example waits."),
            ("192.0.2.1 waits", "192.0.2.1 waits."),
            ("SMTP waits.", "SMTP waits."),
            ("", ""),
        ] {
            assert_eq!(sentence(text), want);
        }
    }
}
