//! The commands of SMB by number: MS-SMB2 section 2.2.1.2 and MS-CIFS section 2.2.2.1.
//!
//! Takes:  a number
//! Gives:  the name that the specification uses, without its prefix
//! Never:  fails: an unknown number has a name too

/// Names of SMB2's commands; the index is the number.
const SMB2: [&str; 19] = [
    "NEGOTIATE",
    "SESSION_SETUP",
    "LOGOFF",
    "TREE_CONNECT",
    "TREE_DISCONNECT",
    "CREATE",
    "CLOSE",
    "FLUSH",
    "READ",
    "WRITE",
    "LOCK",
    "IOCTL",
    "CANCEL",
    "ECHO",
    "QUERY_DIRECTORY",
    "CHANGE_NOTIFY",
    "QUERY_INFO",
    "SET_INFO",
    "OPLOCK_BREAK",
];

/// A command of SMB2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command2(pub u16);

impl Command2 {
    /// Agrees on a dialect.
    pub const NEGOTIATE: Self = Self(0);
    /// Logs on.
    pub const SESSION_SETUP: Self = Self(1);
    /// Opens a share.
    pub const TREE_CONNECT: Self = Self(3);
    /// Opens a file.
    pub const CREATE: Self = Self(5);
    /// Reads.
    pub const READ: Self = Self(8);
    /// Writes.
    pub const WRITE: Self = Self(9);
    /// Locks a range, and may wait for it.
    pub const LOCK: Self = Self(10);
    /// Control codes.
    pub const IOCTL: Self = Self(11);
    /// Takes a request back; has no answer.
    pub const CANCEL: Self = Self(12);
    /// Waits for a change.
    pub const CHANGE_NOTIFY: Self = Self(15);
    /// Break of an oplock or lease, and its acknowledgement.
    pub const OPLOCK_BREAK: Self = Self(18);

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        SMB2.get(usize::from(self.0)).copied().unwrap_or("UNKNOWN")
    }
}

/// A command of SMB1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command1(pub u8);

impl Command1 {
    /// Closes a file.
    pub const CLOSE: Self = Self(0x04);
    /// Reads (core protocol).
    pub const READ: Self = Self(0x0A);
    /// Writes (core protocol).
    pub const WRITE: Self = Self(0x0B);
    /// Locks, unlocks, and acknowledges the break of an oplock.
    pub const LOCKING_ANDX: Self = Self(0x24);
    /// Named pipes and mailslots.
    pub const TRANSACTION: Self = Self(0x25);
    /// More of a TRANSACTION.
    pub const TRANSACTION_SECONDARY: Self = Self(0x26);
    /// Reads.
    pub const READ_ANDX: Self = Self(0x2E);
    /// Writes.
    pub const WRITE_ANDX: Self = Self(0x2F);
    /// File system operations by subcommand.
    pub const TRANSACTION2: Self = Self(0x32);
    /// More of a TRANSACTION2.
    pub const TRANSACTION2_SECONDARY: Self = Self(0x33);
    /// Agrees on a dialect.
    pub const NEGOTIATE: Self = Self(0x72);
    /// Logs on.
    pub const SESSION_SETUP_ANDX: Self = Self(0x73);
    /// Opens a share.
    pub const TREE_CONNECT_ANDX: Self = Self(0x75);
    /// NT operations by subcommand.
    pub const NT_TRANSACT: Self = Self(0xA0);
    /// More of an NT_TRANSACT.
    pub const NT_TRANSACT_SECONDARY: Self = Self(0xA1);
    /// Opens a file.
    pub const NT_CREATE_ANDX: Self = Self(0xA2);
    /// Takes a request back; has no answer.
    pub const NT_CANCEL: Self = Self(0xA4);
    /// No further command in the chain.
    pub const NONE: Self = Self(0xFF);

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x00 => "CREATE_DIRECTORY",
            0x01 => "DELETE_DIRECTORY",
            0x02 => "OPEN",
            0x03 => "CREATE",
            0x04 => "CLOSE",
            0x05 => "FLUSH",
            0x06 => "DELETE",
            0x07 => "RENAME",
            0x08 => "QUERY_INFORMATION",
            0x09 => "SET_INFORMATION",
            0x0A => "READ",
            0x0B => "WRITE",
            0x0C => "LOCK_BYTE_RANGE",
            0x0D => "UNLOCK_BYTE_RANGE",
            0x0E => "CREATE_TEMPORARY",
            0x0F => "CREATE_NEW",
            0x10 => "CHECK_DIRECTORY",
            0x11 => "PROCESS_EXIT",
            0x12 => "SEEK",
            0x13 => "LOCK_AND_READ",
            0x14 => "WRITE_AND_UNLOCK",
            0x1A => "READ_RAW",
            0x1B => "READ_MPX",
            0x1C => "READ_MPX_SECONDARY",
            0x1D => "WRITE_RAW",
            0x1E => "WRITE_MPX",
            0x1F => "WRITE_MPX_SECONDARY",
            0x20 => "WRITE_COMPLETE",
            0x21 => "QUERY_SERVER",
            0x22 => "SET_INFORMATION2",
            0x23 => "QUERY_INFORMATION2",
            0x24 => "LOCKING_ANDX",
            0x25 => "TRANSACTION",
            0x26 => "TRANSACTION_SECONDARY",
            0x27 => "IOCTL",
            0x28 => "IOCTL_SECONDARY",
            0x29 => "COPY",
            0x2A => "MOVE",
            0x2B => "ECHO",
            0x2C => "WRITE_AND_CLOSE",
            0x2D => "OPEN_ANDX",
            0x2E => "READ_ANDX",
            0x2F => "WRITE_ANDX",
            0x30 => "NEW_FILE_SIZE",
            0x31 => "CLOSE_AND_TREE_DISC",
            0x32 => "TRANSACTION2",
            0x33 => "TRANSACTION2_SECONDARY",
            0x34 => "FIND_CLOSE2",
            0x35 => "FIND_NOTIFY_CLOSE",
            0x70 => "TREE_CONNECT",
            0x71 => "TREE_DISCONNECT",
            0x72 => "NEGOTIATE",
            0x73 => "SESSION_SETUP_ANDX",
            0x74 => "LOGOFF_ANDX",
            0x75 => "TREE_CONNECT_ANDX",
            0x7E => "SECURITY_PACKAGE_ANDX",
            0x80 => "QUERY_INFORMATION_DISK",
            0x81 => "SEARCH",
            0x82 => "FIND",
            0x83 => "FIND_UNIQUE",
            0x84 => "FIND_CLOSE",
            0xA0 => "NT_TRANSACT",
            0xA1 => "NT_TRANSACT_SECONDARY",
            0xA2 => "NT_CREATE_ANDX",
            0xA4 => "NT_CANCEL",
            0xA5 => "NT_RENAME",
            0xC0 => "OPEN_PRINT_FILE",
            0xC1 => "WRITE_PRINT_FILE",
            0xC2 => "CLOSE_PRINT_FILE",
            0xC3 => "GET_PRINT_QUEUE",
            0xD8 => "READ_BULK",
            0xD9 => "WRITE_BULK",
            0xDA => "WRITE_BULK_DATA",
            _ => "UNKNOWN",
        }
    }

    /// Name of a transaction by its subcommand (MS-CIFS section 2.2.2.2); that of the command where it has none.
    #[must_use]
    pub const fn transaction_name(self, subcommand: u16) -> &'static str {
        match (self, subcommand) {
            (Self::TRANSACTION, 0x01) => "TRANS_SET_NMPIPE_STATE",
            (Self::TRANSACTION, 0x11) => "TRANS_RAW_READ_NMPIPE",
            (Self::TRANSACTION, 0x21) => "TRANS_QUERY_NMPIPE_STATE",
            (Self::TRANSACTION, 0x22) => "TRANS_QUERY_NMPIPE_INFO",
            (Self::TRANSACTION, 0x23) => "TRANS_PEEK_NMPIPE",
            (Self::TRANSACTION, 0x26) => "TRANS_TRANSACT_NMPIPE",
            (Self::TRANSACTION, 0x31) => "TRANS_RAW_WRITE_NMPIPE",
            (Self::TRANSACTION, 0x36) => "TRANS_READ_NMPIPE",
            (Self::TRANSACTION, 0x37) => "TRANS_WRITE_NMPIPE",
            (Self::TRANSACTION, 0x53) => "TRANS_WAIT_NMPIPE",
            (Self::TRANSACTION, 0x54) => "TRANS_CALL_NMPIPE",
            (Self::TRANSACTION2, 0x00) => "TRANS2_OPEN2",
            (Self::TRANSACTION2, 0x01) => "TRANS2_FIND_FIRST2",
            (Self::TRANSACTION2, 0x02) => "TRANS2_FIND_NEXT2",
            (Self::TRANSACTION2, 0x03) => "TRANS2_QUERY_FS_INFORMATION",
            (Self::TRANSACTION2, 0x04) => "TRANS2_SET_FS_INFORMATION",
            (Self::TRANSACTION2, 0x05) => "TRANS2_QUERY_PATH_INFORMATION",
            (Self::TRANSACTION2, 0x06) => "TRANS2_SET_PATH_INFORMATION",
            (Self::TRANSACTION2, 0x07) => "TRANS2_QUERY_FILE_INFORMATION",
            (Self::TRANSACTION2, 0x08) => "TRANS2_SET_FILE_INFORMATION",
            (Self::TRANSACTION2, 0x09) => "TRANS2_FSCTL",
            (Self::TRANSACTION2, 0x0A) => "TRANS2_IOCTL2",
            (Self::TRANSACTION2, 0x0B) => "TRANS2_FIND_NOTIFY_FIRST",
            (Self::TRANSACTION2, 0x0C) => "TRANS2_FIND_NOTIFY_NEXT",
            (Self::TRANSACTION2, 0x0D) => "TRANS2_CREATE_DIRECTORY",
            (Self::TRANSACTION2, 0x0E) => "TRANS2_SESSION_SETUP",
            (Self::TRANSACTION2, 0x10) => "TRANS2_GET_DFS_REFERRAL",
            (Self::TRANSACTION2, 0x11) => "TRANS2_REPORT_DFS_INCONSISTENCY",
            (Self::NT_TRANSACT, 0x01) => "NT_TRANSACT_CREATE",
            (Self::NT_TRANSACT, 0x02) => "NT_TRANSACT_IOCTL",
            (Self::NT_TRANSACT, 0x03) => "NT_TRANSACT_SET_SECURITY_DESC",
            (Self::NT_TRANSACT, 0x04) => "NT_TRANSACT_NOTIFY_CHANGE",
            (Self::NT_TRANSACT, 0x05) => "NT_TRANSACT_RENAME",
            (Self::NT_TRANSACT, 0x06) => "NT_TRANSACT_QUERY_SECURITY_DESC",
            (Self::NT_TRANSACT, 0x07) => "NT_TRANSACT_QUERY_QUOTA",
            (Self::NT_TRANSACT, 0x08) => "NT_TRANSACT_SET_QUOTA",
            _ => self.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_specification() {
        for (number, name) in [
            (0, "NEGOTIATE"),
            (5, "CREATE"),
            (8, "READ"),
            (14, "QUERY_DIRECTORY"),
            (18, "OPLOCK_BREAK"),
            (19, "UNKNOWN"),
            (0xFFFF, "UNKNOWN"),
        ] {
            assert_eq!(Command2(number).name(), name);
        }
        for (command, sub, name) in [
            (0x32, 1, "TRANS2_FIND_FIRST2"),
            (0x32, 0x77, "TRANSACTION2"),
            (0x25, 0x26, "TRANS_TRANSACT_NMPIPE"),
            (0xA0, 4, "NT_TRANSACT_NOTIFY_CHANGE"),
            (0x72, 1, "NEGOTIATE"),
            (0x99, 0, "UNKNOWN"),
        ] {
            assert_eq!(Command1(command).transaction_name(sub), name);
        }
    }
}
