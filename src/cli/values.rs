//! Reads the values of options: sizes, durations, moments, ports, pools.
//!
//! Takes:  the text after an option
//! Gives:  a value of the library, or a sentence that says what was expected
//! Never:  touches the file system, save to tell `HOST=FILE` from a path that holds `=`

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Zoned;
use jiff::civil;
use jiff::tz::TimeZone;
use tcptriage::net::Timestamp;

/// A number followed by letters: `100MB` gives `("100", "MB")`.
fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.trim(), unit.trim())
}

/// Octets: `500M`, `2GB`, `1GiB`, `65536`. K, M, G and T are powers of 1000, Ki, Mi, Gi and Ti of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected =
        || format!("'{text}' is no size; write a number and a unit, such as 500M or 2GiB");
    let (number, unit) = number_and_unit(text);
    let number: f64 = number.parse().map_err(|_| expected())?;
    let unit = unit.to_ascii_lowercase();
    let factor = match unit.strip_suffix('b').unwrap_or(&unit) {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        "ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(expected()),
    };
    let octets = number * factor;
    if !(1.0..=9e15).contains(&octets) {
        return Err(expected());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // in range, by the test above
    Ok(octets as u64)
}

/// A length of time: `30`, `500ms`, `90s`, `5m`, `2h`, `1d`. A bare number means seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("'{text}' is no length of time; write a number and a unit, such as 30s or 5m");
    let (number, unit) = number_and_unit(text);
    let number: f64 = number.parse().map_err(|_| expected())?;
    let factor = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(expected()),
    };
    let seconds = number * factor;
    if seconds > 1e9 {
        return Err(expected());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| expected())
}

/// A moment: seconds since the epoch (`1262704920.5`), RFC 3339 (`2010-01-05T15:22:00Z`), or a date and time in UTC
/// (`2010-01-05 15:22`), as the report prints them.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let expected = || {
        format!(
            "'{text}' is no moment; write 2010-01-05T15:22:00Z, '2010-01-05 15:22:00' (UTC) or seconds since 1970"
        )
    };
    if let Some(nanos) = decimal_nanos(text) {
        return Ok(Timestamp(nanos));
    }
    let stamp = if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        stamp
    } else if let Ok(zoned) = text.parse::<Zoned>() {
        zoned.timestamp()
    } else {
        text.parse::<civil::DateTime>()
            .map_err(|_| expected())?
            .to_zoned(TimeZone::UTC)
            .map_err(|_| expected())?
            .timestamp()
    };
    i64::try_from(stamp.as_nanosecond())
        .map(Timestamp)
        .map_err(|_| expected())
}

/// `12.5` as nanoseconds, exactly. `None` if it is no plain decimal number.
fn decimal_nanos(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let part: i64 = format!("{part:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(part)
}

/// A service of `--ports`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Service {
    /// SMTP.
    Smtp,
    /// SMB.
    Smb,
}

/// `smtp=25,587,2525`.
pub(crate) fn ports(text: &str) -> Result<(Service, Vec<u16>), String> {
    let expected = || format!("'{text}' is no list of ports; write smtp=25,587 or smb=445,139");
    let (service, list) = text.split_once('=').ok_or_else(expected)?;
    let service = match service.trim().to_ascii_lowercase().as_str() {
        "smtp" => Service::Smtp,
        "smb" => Service::Smb,
        _ => return Err(expected()),
    };
    let ports: Result<Vec<u16>, _> = list.split(',').map(|port| port.trim().parse()).collect();
    match ports {
        Ok(ports) if !ports.contains(&0) => Ok((service, ports)),
        _ => Err(expected()),
    }
}

/// `hubs=192.0.2.1,192.0.2.2`.
pub(crate) fn pool(text: &str) -> Result<(String, Vec<IpAddr>), String> {
    let expected =
        || format!("'{text}' is no pool; write a name and addresses: hubs=192.0.2.1,192.0.2.2");
    let (name, list) = text.split_once('=').ok_or_else(expected)?;
    let addresses: Result<Vec<IpAddr>, _> = list.split(',').map(|a| a.trim().parse()).collect();
    match addresses {
        Ok(addresses) if !name.trim().is_empty() => Ok((name.trim().to_owned(), addresses)),
        _ => Err(expected()),
    }
}

/// `[HOST=]FILE`: a file that exists under the whole text is that file.
pub(crate) fn host_file(text: &str) -> Result<(Option<String>, PathBuf), String> {
    if text.is_empty() {
        return Err("a file is needed, or HOST=FILE".to_owned());
    }
    if Path::new(text).exists() {
        return Ok((None, PathBuf::from(text)));
    }
    Ok(match text.split_once('=') {
        Some((host, file))
            if !host.is_empty() && !file.is_empty() && !host.contains(['/', '\\']) =>
        {
            (Some(host.to_owned()), PathBuf::from(file))
        }
        _ => (None, PathBuf::from(text)),
    })
}

/// `HOST=ws2008r2`.
pub(crate) fn host_os(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((host, os)) if !host.trim().is_empty() && !os.trim().is_empty() => {
            Ok((host.trim().to_owned(), os.trim().to_ascii_lowercase()))
        }
        _ => Err(format!(
            "'{text}' names no host and version; write HOST=ws2008r2"
        )),
    }
}

/// A ring of capture files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ring {
    pub(crate) files: u32,
    pub(crate) octets: Option<u64>,
    pub(crate) time: Option<Duration>,
}

/// A ring: `10x100MB`, `24x1h`, or both, `24x100MBx1h`. The units of time are small letters; what is no time is a size.
pub(crate) fn ring(text: &str) -> Result<Ring, String> {
    let expected = || {
        format!(
            "'{text}' is no ring; write files x size, such as 10x100MB, or files x time, such as 24x1h"
        )
    };
    let mut parts = text.split(['x', 'X']);
    let files = parts.next().and_then(|n| n.trim().parse().ok());
    let mut ring = Ring {
        files: files.filter(|files| *files >= 1).ok_or_else(expected)?,
        octets: None,
        time: None,
    };
    for part in parts {
        let unit = number_and_unit(part).1;
        let taken = if !unit.is_empty()
            && let Ok(time) = duration(part)
        {
            ring.time.replace(time).is_some() || time < Duration::from_secs(1)
        } else {
            ring.octets.replace(size(part)?).is_some()
        };
        if taken {
            return Err(expected());
        }
    }
    if ring.octets.is_none() && ring.time.is_none() {
        return Err(expected());
    }
    Ok(ring)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("65536", Some(65_536)),
            ("500M", Some(500_000_000)),
            ("2GB", Some(2_000_000_000)),
            ("1GiB", Some(1 << 30)),
            ("1.5k", Some(1_500)),
            ("", None),
            ("0", None),
            ("-1", None),
            ("12 parsecs", None),
            ("1e99", None),
            ("99999999T", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, want) in [
            ("30", Some(30_000)),
            ("500ms", Some(500)),
            ("5m", Some(300_000)),
            ("0.5h", Some(1_800_000)),
            ("", None),
            ("soon", None),
            ("5 weeks", None),
            ("99999999d", None),
        ] {
            assert_eq!(
                duration(text).ok(),
                want.map(Duration::from_millis),
                "{text}"
            );
        }
    }

    #[test]
    fn moments() {
        const AT: i64 = 1_262_704_920;
        for (text, want) in [
            ("1262704920", Some(AT * 1_000_000_000)),
            ("1262704920.000000001", Some(AT * 1_000_000_000 + 1)),
            ("2010-01-05T15:22:00Z", Some(AT * 1_000_000_000)),
            ("2010-01-05T16:22:00+01:00", Some(AT * 1_000_000_000)),
            ("2010-01-05 15:22:00", Some(AT * 1_000_000_000)),
            (
                "2010-01-05T15:22:00.5",
                Some(AT * 1_000_000_000 + 500_000_000),
            ),
            ("yesterday", None),
            ("", None),
            ("99999999999999999999", None),
            ("9999-01-01T00:00:00Z", None),
        ] {
            assert_eq!(moment(text).ok(), want.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(
            ports("smtp=25,587").unwrap(),
            (Service::Smtp, vec![25, 587])
        );
        for bad in ["smtp", "smtp=", "ftp=21", "smb=0", "smb=70000", "smb=445,"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
        assert_eq!(pool("hubs=192.0.2.1,2001:db8::1").unwrap().1.len(), 2);
        for bad in ["hubs", "=192.0.2.1", "hubs=mail"] {
            assert!(pool(bad).is_err(), "{bad}");
        }
        let hour = Duration::from_secs(3600);
        for (text, octets, time) in [
            ("10x100MB", Some(100_000_000), None),
            ("10X1GiB", Some(1 << 30), None),
            ("10x1h", None, Some(hour)),
            ("10x100MBx1h", Some(100_000_000), Some(hour)),
        ] {
            let files = 10;
            assert_eq!(
                ring(text).ok(),
                Some(Ring {
                    files,
                    octets,
                    time
                }),
                "{text}"
            );
        }
        for bad in [
            "", "10", "x100MB", "0x100MB", "10x", "10xsoon", "10x1hx2h", "10x0s",
        ] {
            assert!(ring(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(
            host_file("hub1=netsh.txt").unwrap(),
            (Some("hub1".to_owned()), PathBuf::from("netsh.txt"))
        );
        assert_eq!(
            host_file("./a=b/netsh.txt").unwrap(),
            (None, PathBuf::from("./a=b/netsh.txt"))
        );
        assert_eq!(
            host_os("hub1=WS2008R2").unwrap(),
            ("hub1".to_owned(), "ws2008r2".to_owned())
        );
        assert!(host_os("ws2008r2").is_err());
    }
}
