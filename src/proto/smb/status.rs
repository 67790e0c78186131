//! What the status field of SMB says: NTSTATUS (MS-ERREF section 2.3) and the error classes of SMB1 (MS-CIFS section 2.2.2.4).
//!
//! Takes:  a status, or its name
//! Gives:  its name, and from `status.tsv` what it means and whether it tells of a fault
//! Never:  guesses the meaning of a value that the table lacks

use std::borrow::Cow;
use std::sync::LazyLock;

/// A status as it stands in an SMB header.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// Done.
    pub const SUCCESS: Self = Self(0);
    /// Interim answer.
    pub const PENDING: Self = Self(0x0000_0103);
    /// Another leg of authentication follows.
    pub const MORE_PROCESSING_REQUIRED: Self = Self(0xC000_0016);

    /// Whether it reports an error: severity 3, an error class of SMB1, or a warning that the table does not call normal.
    #[must_use]
    pub fn is_error(self) -> bool {
        match self.0 >> 30 {
            3 => self != Self::MORE_PROCESSING_REQUIRED,
            2 => explain(self).is_none_or(|known| known.severity != Severity::Normal),
            0 => self.dos().is_some(),
            _ => false,
        }
    }

    /// Its name: `STATUS_OBJECT_NAME_NOT_FOUND`, `ERRDOS/ERRbadfile`, `STATUS_0xC0001234`.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        if let Some(known) = explain(self) {
            return Cow::Borrowed(known.name);
        }
        match self.dos() {
            Some((class, code)) => DOS
                .iter()
                .find(|row| (row.0, row.1) == (class, code))
                .map_or_else(
                    || Cow::Owned(format!("{}/{code}", class_name(class))),
                    |row| Cow::Owned(format!("{}/{}", class_name(class), row.2)),
                ),
            None => Cow::Owned(format!("STATUS_0x{:08X}", self.0)),
        }
    }

    /// Class and code, where this is an error of SMB1's own (MS-CIFS section 2.2.2.4): class in the lowest octet, code in the
    /// upper half.
    #[must_use]
    pub const fn dos(self) -> Option<(u8, u16)> {
        let [class, reserved, low, high] = self.0.to_le_bytes();
        let code = u16::from_le_bytes([low, high]);
        match class {
            1..=4 | 0xFF if reserved == 0 && (matches!(code, 1..=0x3FFF) || code == 0xFFFF) => {
                Some((class, code))
            }
            _ => None,
        }
    }
}

/// Name of an error class.
const fn class_name(class: u8) -> &'static str {
    match class {
        1 => "ERRDOS",
        2 => "ERRSRV",
        3 => "ERRHRD",
        4 => "ERRXOS",
        _ => "ERRCMD",
    }
}

/// Errors of SMB1 that turn up: class, code, name (MS-CIFS section 2.2.2.4).
const DOS: &[(u8, u16, &str)] = &[
    (1, 1, "ERRbadfunc"),
    (1, 2, "ERRbadfile"),
    (1, 3, "ERRbadpath"),
    (1, 4, "ERRnofids"),
    (1, 5, "ERRnoaccess"),
    (1, 6, "ERRbadfid"),
    (1, 8, "ERRnomem"),
    (1, 18, "ERRnofiles"),
    (1, 31, "ERRgeneral"),
    (1, 32, "ERRbadshare"),
    (1, 33, "ERRlock"),
    (1, 50, "ERRunsup"),
    (1, 64, "ERRnetnamedel"),
    (1, 67, "ERRnosuchshare"),
    (1, 80, "ERRfilexists"),
    (1, 87, "ERRinvalidparam"),
    (1, 230, "ERRbadpipe"),
    (1, 231, "ERRpipebusy"),
    (1, 232, "ERRpipeclosing"),
    (1, 233, "ERRnotconnected"),
    (1, 234, "ERRmoredata"),
    (2, 1, "ERRerror"),
    (2, 2, "ERRbadpw"),
    (2, 4, "ERRaccess"),
    (2, 5, "ERRinvtid"),
    (2, 6, "ERRinvnetname"),
    (2, 22, "ERRsmbcmd"),
    (2, 64, "ERRbadbufs"),
    (2, 81, "ERRpaused"),
    (2, 82, "ERRmsgoff"),
    (2, 83, "ERRnoroom"),
    (2, 87, "ERRrmuns"),
    (2, 88, "ERRtimeout"),
    (2, 89, "ERRnoresource"),
    (2, 90, "ERRtoomanyuids"),
    (2, 91, "ERRbaduid"),
    (2, 0xFFFF, "ERRnosupport"),
    (3, 19, "ERRnowrite"),
    (3, 21, "ERRnotready"),
    (3, 39, "ERRdiskfull"),
];

/// What a status tells of the health of the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Belongs to everyday traffic.
    Normal,
    /// To be judged by number and circumstances.
    Watch,
    /// To be reported.
    Fault,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Known {
    /// The value.
    pub status: NtStatus,
    /// `STATUS_…`
    pub name: &'static str,
    /// What it tells.
    pub severity: Severity,
    /// `auth`, `session`, `storage`, …
    pub area: &'static str,
    /// In words.
    pub meaning: &'static str,
    /// Id of the remedy that fits, where there is one.
    pub remedy: Option<&'static str>,
    /// What else to know; may be empty.
    pub note: &'static str,
}

static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = include_str!("status.tsv").lines();
    let mut rows: Vec<_> = lines.filter_map(row).collect();
    rows.sort_by_key(|known| known.status);
    rows
});

/// One line of the table; `None` for comments.
fn row(line: &'static str) -> Option<Known> {
    let mut cells = line.split('\t');
    let digits = cells.next()?.strip_prefix("0x")?;
    Some(Known {
        status: NtStatus(u32::from_str_radix(digits, 16).ok()?),
        name: cells.next()?,
        severity: match cells.next()? {
            "normal" => Severity::Normal,
            "watch" => Severity::Watch,
            "fault" => Severity::Fault,
            _ => return None,
        },
        area: cells.next()?,
        meaning: cells.next()?,
        remedy: cells.next().filter(|id| !id.is_empty()),
        note: cells.next().unwrap_or(""),
    })
}

/// What the table says of a status.
#[must_use]
pub fn explain(status: NtStatus) -> Option<&'static Known> {
    let at = TABLE.binary_search_by_key(&status, |known| known.status);
    at.ok().and_then(|at| TABLE.get(at))
}

/// What the table says of a status by its name (`STATUS_` may be left out, case does not matter) or as a number in hexadecimal.
#[must_use]
pub fn look_up(text: &str) -> Option<&'static Known> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return explain(NtStatus(u32::from_str_radix(digits, 16).ok()?));
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("STATUS_").unwrap_or(&upper);
    TABLE
        .iter()
        .find(|known| known.name.strip_prefix("STATUS_") == Some(bare))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_no_value_is_twice() {
        let lines = include_str!("status.tsv").lines();
        let rows = lines.filter(|line| !line.starts_with('#')).count();
        assert_eq!(TABLE.len(), rows);
        assert!(rows > 100);
        for pair in TABLE.windows(2) {
            assert!(pair[0].status < pair[1].status, "{:?}", pair[1]);
        }
        for known in TABLE.iter() {
            assert!(known.name.starts_with("STATUS_") && !known.meaning.is_empty());
            assert_eq!(look_up(known.name), Some(known));
        }
    }

    #[test]
    fn names_and_errors() {
        for (status, name, error) in [
            (0, "STATUS_SUCCESS", false),
            (0x103, "STATUS_PENDING", false),
            (0xC000_0034, "STATUS_OBJECT_NAME_NOT_FOUND", true),
            (0xC000_0016, "STATUS_MORE_PROCESSING_REQUIRED", false),
            (0x8000_0006, "STATUS_NO_MORE_FILES", false),
            (0x8000_0010, "STATUS_DEVICE_OFF_LINE", true),
            (0xC000_1234, "STATUS_0xC0001234", true),
            (0x0002_0001, "ERRDOS/ERRbadfile", true),
            (0x0063_0002, "ERRSRV/99", true),
            (0x0005_0002, "STATUS_SMB_BAD_TID", true),
            (0x0000_010C, "STATUS_NOTIFY_ENUM_DIR", false),
            (0x8123_4567, "STATUS_0x81234567", true),
            (0x4000_0000, "STATUS_0x40000000", false),
        ] {
            assert_eq!(NtStatus(status).name(), name);
            assert_eq!(NtStatus(status).is_error(), error, "{name}");
        }
    }

    #[test]
    fn look_up_takes_names_and_numbers() {
        let denied = explain(NtStatus(0xC000_0022)).unwrap();
        for text in ["STATUS_ACCESS_DENIED", "access_denied", " 0xc0000022 "] {
            assert_eq!(look_up(text), Some(denied), "{text}");
        }
        assert_eq!(look_up("0xZZ"), None);
        assert_eq!(look_up("STATUS_STATUS_ACCESS_DENIED"), None);
    }
}
