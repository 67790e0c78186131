//! What the tokens of a logon tell without giving anything away: mechanism, server name and version.
//!
//! Takes:  security buffers (RFC 4178, RFC 4120, MS-NLMP)
//! Gives:  the mechanism that is used; from an NTLM CHALLENGE the server's name and version
//! Never:  keeps challenges, hashes, tickets or user names

use memchr::memmem;
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::le_u16;
use nom::{IResult, Parser};

use crate::proto::octets::{array, le16, le32, part, utf16};

/// Longest name that is kept, in characters.
const MAX_NAME: usize = 255;

/// Attributes of a CHALLENGE that are read at most; MS-NLMP section 2.2.2.1 knows eleven.
const MAX_ATTRIBUTES: usize = 32;

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mechanism {
    /// NTLM (MS-NLMP).
    Ntlm,
    /// Kerberos (RFC 4121).
    Kerberos,
}

impl Mechanism {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ntlm => "NTLM",
            Self::Kerberos => "Kerberos",
        }
    }
}

/// Object identifier of SPNEGO (RFC 4178 section 3), as encoded.
const SPNEGO: &[u8] = b"\x06\x06\x2b\x06\x01\x05\x05\x02";

/// Object identifier of Kerberos with the AP-REQ's token id after it (RFC 4121 section 4.1).
const KERBEROS_AP_REQ: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00";

/// Beginning of every NTLM message (MS-NLMP section 2.2.1).
const NTLM: &[u8] = b"NTLMSSP\0";

/// Whether a security buffer opens with SPNEGO.
#[must_use]
pub fn is_spnego(token: &[u8]) -> bool {
    token.first() == Some(&0x60) && memmem::find(part(token, 0, 32), SPNEGO).is_some()
}

/// The mechanism whose token a buffer carries.
#[must_use]
pub fn mechanism(token: &[u8]) -> Option<Mechanism> {
    if memmem::find(token, NTLM).is_some() {
        Some(Mechanism::Ntlm)
    } else {
        memmem::find(token, KERBEROS_AP_REQ).map(|_| Mechanism::Kerberos)
    }
}

/// What an NTLM CHALLENGE tells of the server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Challenge {
    /// Its DNS name, else its NetBIOS name (hostile text).
    pub name: Option<String>,
    /// Major, minor and build of its operating system.
    pub version: Option<(u8, u8, u16)>,
}

/// Finds an NTLM CHALLENGE in a security buffer (MS-NLMP section 2.2.1.2) and reads who sent it.
#[must_use]
pub fn challenge(token: &[u8]) -> Option<Challenge> {
    let message = token.get(memmem::find(token, NTLM)?..)?;
    if le32(message, 8)? != 2 {
        return None;
    }
    let flags = le32(message, 20)?;
    let mut found = Challenge::default();
    // NTLMSSP_NEGOTIATE_VERSION
    if flags & 0x0200_0000 != 0 {
        found.version = array::<4>(message, 48)
            .map(|[major, minor, low, high]| (major, minor, u16::from_le_bytes([low, high])));
    }
    if let (Some(len), Some(at)) = (le16(message, 40), le32(message, 44)) {
        let info = part(message, at as usize, usize::from(len));
        found.name = server_name(info);
    }
    Some(found)
}

/// One attribute: its id and value (MS-NLMP section 2.2.2.1).
fn attribute(input: &[u8]) -> IResult<&[u8], (u16, &[u8])> {
    (le_u16, length_data(le_u16)).parse(input)
}

/// The server's name out of the target information.
fn server_name(mut info: &[u8]) -> Option<String> {
    let (mut netbios, mut dns) = (None, None);
    for _ in 0..MAX_ATTRIBUTES {
        let Ok((rest, (id, value))) = attribute(info) else {
            break;
        };
        match id {
            0 => break,
            1 => netbios = Some(utf16(value, MAX_NAME)),
            3 => dns = Some(utf16(value, MAX_NAME)),
            _ => {}
        }
        info = rest;
    }
    dns.or(netbios).filter(|name| !name.is_empty())
}

/// The server's part of `\\server\share`, in UTF-16 (SMB2, SMB1 with Unicode) as read from the start of `path`.
#[must_use]
pub fn host_of_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix("\\\\")?;
    let host = rest.split('\\').next()?;
    (!host.is_empty()).then(|| host.chars().take(MAX_NAME).collect())
}

/// Dialect strings of an SMB1 NEGOTIATE request: each a format octet 2 and text up to a zero (MS-CIFS section 2.2.4.52.1).
#[must_use]
pub fn dialect_strings(mut octets: &[u8]) -> Vec<&[u8]> {
    fn one(input: &[u8]) -> IResult<&[u8], &[u8]> {
        let (rest, _) = nom::bytes::complete::tag(&[2_u8][..]).parse(input)?;
        let (rest, text) = nom::bytes::complete::take_till(|b| b == 0).parse(rest)?;
        let (rest, _) = take(1_usize).parse(rest)?;
        Ok((rest, text))
    }
    let mut found = Vec::new();
    // The index of a dialect has 16 bits; no client offers more than a dozen.
    while found.len() < 64 {
        let Ok((rest, text)) = one(octets) else { break };
        found.push(text);
        octets = rest;
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A CHALLENGE from a server `FILES` (`files.example`), Windows 10.0 build 20348.
    pub(in crate::proto::smb) fn challenge_token() -> Vec<u8> {
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let mut info = Vec::new();
        for (id, value) in [
            (1_u16, wide("FILES")),
            (3, wide("files.example")),
            (0, Vec::new()),
        ] {
            info.extend(id.to_le_bytes());
            info.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            info.extend(value);
        }
        let mut token = b"\xa1\x81\x00NTLMSSP\0\x02\0\0\0".to_vec();
        token.extend([0; 8]);
        token.extend(0x0200_0001_u32.to_le_bytes());
        token.extend([0xAA; 16]);
        let len = u16::try_from(info.len()).unwrap().to_le_bytes();
        token.extend([len, len].concat());
        token.extend(56_u32.to_le_bytes());
        token.extend([10, 0, 0x7C, 0x4F, 0, 0, 0, 15]);
        token.extend(info);
        token
    }

    #[test]
    fn a_challenge_names_its_server() {
        let token = challenge_token();
        let want = Challenge {
            name: Some("files.example".into()),
            version: Some((10, 0, 20348)),
        };
        assert_eq!(challenge(&token), Some(want));
        assert_eq!(mechanism(&token), Some(Mechanism::Ntlm));
        for end in 0..token.len() {
            if let Some(found) = challenge(&token[..end]) {
                let name = found.name.unwrap_or_default();
                assert!(["", "FILES", "files.example"].contains(&name.as_str()));
            }
        }
    }

    #[test]
    fn paths_and_dialects() {
        assert_eq!(host_of_path("\\\\srv\\ipc$").as_deref(), Some("srv"));
        assert_eq!(host_of_path("srv\\ipc$"), None);
        assert_eq!(host_of_path("\\\\\\x"), None);
        let list = dialect_strings(b"\x02PC NETWORK PROGRAM 1.0\0\x02NT LM 0.12\0\x02cut");
        assert_eq!(list, [&b"PC NETWORK PROGRAM 1.0"[..], b"NT LM 0.12"]);
        assert!(is_spnego(b"\x60\x48\x06\x06\x2b\x06\x01\x05\x05\x02\xa0"));
        assert!(!is_spnego(b"NTLMSSP\0"));
    }
}
