//! What an SMTP refusal is about, and what kind of server speaks.
//!
//! Takes:  code, enhanced code, verb and text of a reply of class 4 or 5; the banner and capabilities of a server
//! Gives:  one [`Topic`]; one [`Maker`]
//! Never:  calls a refusal by its code alone where servers use that code for several things

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::proto::SmtpRecord;

/// What a refusal is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Topic {
    /// Too many connections at once.
    Connections,
    /// Too many messages or recipients in a time.
    Rate,
    /// Come again later: first contact.
    Greylist,
    /// The server is short of resources.
    Resources,
    /// The second copy of a message could not be placed.
    Shadow,
    /// A timer ran out.
    Timer,
    /// TLS is not to be had.
    Tls,
    /// The service does not run, while its host does.
    Inactive,
    /// Anything else.
    Other,
}

/// Texts, in lower case, of which one makes a reply be about a topic. Order matters: the first that fits holds.
const TEXTS: &[(Topic, &[&str])] = &[
    (
        Topic::Greylist,
        &[
            "greylist",
            "graylist",
            "grey list",
            "grey-list",
            "gray-list",
        ],
    ),
    (
        Topic::Shadow,
        &["made redundant", "shadow redundancy", "shadow copy"],
    ),
    (
        Topic::Rate,
        &[
            "submission rate",
            "message rate",
            "rate limit",
            "rate that",
            "per resource forest",
            "too much mail",
            "too many recipients from",
            "too many auth commands from",
            "too many new tls sessions",
            "too many messages",
            "sending too",
            "thread limit exceeded",
            "size limit for this connection",
            "exceeded permitted limits",
            "submission quota",
            "throttl",
        ],
    ),
    (
        Topic::Connections,
        &[
            "concurrent",
            "too many connections",
            "too many sessions",
            "connection limit",
            "number of connections",
            "server ports are busy",
            "screening ports are busy",
            "too much load",
        ],
    ),
    (
        Topic::Resources,
        &[
            "insufficient system resources",
            "no system resources",
            "insufficient system storage",
            "space shortage",
        ],
    ),
    (
        Topic::Timer,
        &["timeout exceeded", "timed out", "timeout", "idle too long"],
    ),
    (
        Topic::Tls,
        &["tls not available", "tls currently unavailable"],
    ),
    (
        Topic::Inactive,
        &[
            "service not active",
            "service not available",
            "shutting down",
        ],
    ),
];

/// [`TEXTS`], ready to be looked for: every refusal is held against all of them.
static FINDERS: LazyLock<Vec<(Topic, Vec<Finder<'static>>)>> = LazyLock::new(|| {
    let ready = |texts: &[&'static str]| texts.iter().map(|one| Finder::new(*one)).collect();
    let each = TEXTS.iter();
    each.map(|(topic, texts)| (*topic, ready(texts))).collect()
});

/// What this refusal is about.
pub(super) fn topic(verb: &str, code: u16, enhanced: Option<[u16; 3]>, text: &str) -> Topic {
    let text = text.to_ascii_lowercase();
    for (topic, texts) in &*FINDERS {
        if texts.iter().any(|one| one.find(text.as_bytes()).is_some()) {
            // A path that timed out behind the server is no timer of this dialog.
            if *topic == Topic::Timer && code != 421 {
                continue;
            }
            return *topic;
        }
    }
    match (code, enhanced) {
        // Written by Exchange alone; others leave the class out.
        (452, Some([4, 3, 1])) => Topic::Resources,
        (450, Some([4, 5, 1])) => Topic::Shadow,
        (451, Some([4, 7, 500..=699 | 850..=899])) => Topic::Rate,
        (454, _) if matches!(verb, "STARTTLS" | "X-ANONYMOUSTLS") => Topic::Tls,
        (450 | 451, Some([4, 7, 1])) if verb == "RCPT" && asks_to_come_again(&text) => {
            Topic::Greylist
        }
        _ => Topic::Other,
    }
}

fn asks_to_come_again(text: &str) -> bool {
    ["try again", "come back", "later"]
        .iter()
        .any(|one| text.contains(one))
}

/// Whose server it is, as far as its words tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Maker {
    /// Not told.
    #[default]
    Unknown,
    /// Exchange; whether it offers shadow redundancy the way 2010 does, which then delays acknowledgements for others.
    Exchange {
        /// XSHADOW is offered, and nothing that only later versions have.
        is_2010: bool,
        /// A capability of 2013 and later is offered.
        is_later: bool,
    },
    /// Something else that names itself.
    Other,
}

/// Reads the banner and the capabilities.
pub(super) fn maker(smtp: &SmtpRecord) -> Maker {
    let offers = |word: &str| {
        smtp.capabilities.iter().any(|line| {
            line.split_whitespace()
                .next()
                .is_some_and(|first| first.eq_ignore_ascii_case(word))
        })
    };
    let banner = smtp.banner.as_deref().unwrap_or("");
    let is_later = offers("XSHADOWREQUEST") || offers("XRDST") || offers("SMTPUTF8");
    if offers("X-ANONYMOUSTLS")
        || offers("X-EXPS")
        || offers("XEXCH50")
        || offers("XSHADOW")
        || (banner.contains("Microsoft ESMTP MAIL Service") && !banner.contains("Version:"))
    {
        return Maker::Exchange {
            is_2010: offers("XSHADOW") && !is_later,
            is_later,
        };
    }
    let lower = banner.to_ascii_lowercase();
    if [
        "postfix",
        "exim",
        "sendmail",
        "version:",
        "opensmtpd",
        "haraka",
        "qmail",
    ]
    .iter()
    .any(|name| lower.contains(name))
    {
        return Maker::Other;
    }
    Maker::Unknown
}

/// `421 4.3.2 Service not active`, cut to what a line holds.
pub(super) fn words(code: u16, enhanced: Option<[u16; 3]>, text: &str) -> String {
    const MOST: usize = 120;
    let mut words = code.to_string();
    if let Some([a, b, c]) = enhanced {
        let written = format!("{a}.{b}.{c}");
        if !text.starts_with(&written) {
            words.push(' ');
            words.push_str(&written);
        }
    }
    if !text.is_empty() {
        words.push(' ');
        words.extend(text.chars().take(MOST));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        for (name, verb, code, enhanced, text, want) in [
            (
                "rate of Exchange",
                "MAIL",
                421,
                Some([4, 4, 2]),
                "Message submission rate for this client has exceeded the configured limit",
                Topic::Rate,
            ),
            (
                "connections of Exchange",
                "CONNECT",
                421,
                Some([4, 3, 2]),
                "The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
                Topic::Connections,
            ),
            (
                "connections of Postfix",
                "CONNECT",
                421,
                Some([4, 7, 0]),
                "mail.example Error: too many connections from 192.0.2.7",
                Topic::Connections,
            ),
            (
                "errors are no connections",
                "RCPT",
                421,
                Some([4, 7, 0]),
                "mail.example Error: too many errors",
                Topic::Other,
            ),
            (
                "service stopped",
                "CONNECT",
                421,
                Some([4, 3, 2]),
                "Service not active",
                Topic::Inactive,
            ),
            (
                "connection of Exchange Online's forest",
                "CONNECT",
                421,
                Some([4, 3, 2]),
                "The maximum number of concurrent connections per resource forest has exceeded a limit",
                Topic::Rate,
            ),
            (
                "back pressure",
                "MAIL",
                452,
                Some([4, 3, 1]),
                "Insufficient system resources",
                Topic::Resources,
            ),
            (
                "too many recipients is no shortage",
                "RCPT",
                452,
                Some([4, 5, 3]),
                "Too many recipients",
                Topic::Other,
            ),
            (
                "greylist by name",
                "RCPT",
                450,
                None,
                "Greylisted, see http://example.com",
                Topic::Greylist,
            ),
            (
                "greylist by habit",
                "RCPT",
                451,
                Some([4, 7, 1]),
                "Please try again later",
                Topic::Greylist,
            ),
            (
                "later at MAIL is none",
                "MAIL",
                451,
                Some([4, 7, 1]),
                "Please try again later",
                Topic::Other,
            ),
            (
                "a policy of 4.7.1 is none",
                "RCPT",
                450,
                Some([4, 7, 1]),
                "Client host rejected: cannot find your hostname",
                Topic::Other,
            ),
            (
                "shadow",
                ".",
                451,
                Some([4, 4, 0]),
                "Message failed to be made redundant",
                Topic::Shadow,
            ),
            (
                "timer",
                "",
                421,
                Some([4, 4, 2]),
                "mail.example Error: timeout exceeded",
                Topic::Timer,
            ),
            (
                "a path behind it is no timer",
                "RCPT",
                451,
                Some([4, 4, 1]),
                "connection timed out",
                Topic::Other,
            ),
            (
                "TLS",
                "STARTTLS",
                454,
                Some([4, 7, 0]),
                "TLS not available due to local problem",
                Topic::Tls,
            ),
            ("TLS by its verb", "STARTTLS", 454, None, "no", Topic::Tls),
            (
                "logon of class 454",
                "AUTH",
                454,
                Some([4, 7, 0]),
                "Temporary authentication failure",
                Topic::Other,
            ),
            (
                "user unknown",
                "RCPT",
                550,
                Some([5, 1, 1]),
                "User unknown",
                Topic::Other,
            ),
        ] {
            assert_eq!(topic(verb, code, enhanced, text), want, "{name}");
        }
    }

    #[test]
    fn makers() {
        for (name, banner, capabilities, want) in [
            ("nothing said", "", &[][..], Maker::Unknown),
            (
                "Exchange 2010",
                "",
                &["X-ANONYMOUSTLS", "XEXCH50", "XSHADOW"],
                Maker::Exchange {
                    is_2010: true,
                    is_later: false,
                },
            ),
            (
                "Exchange 2016",
                "",
                &["X-ANONYMOUSTLS", "XRDST"],
                Maker::Exchange {
                    is_2010: false,
                    is_later: true,
                },
            ),
            (
                "Exchange by its banner",
                "mx Microsoft ESMTP MAIL Service ready",
                &[],
                Maker::Exchange {
                    is_2010: false,
                    is_later: false,
                },
            ),
            (
                "the service of IIS",
                "mx Microsoft ESMTP MAIL Service, Version: 7.5",
                &[],
                Maker::Other,
            ),
            ("Postfix", "mx ESMTP Postfix", &["SMTPUTF8"], Maker::Other),
        ] {
            let smtp = SmtpRecord {
                banner: Some(banner.to_owned()),
                capabilities: capabilities.iter().map(|&c| c.to_owned()).collect(),
                ..SmtpRecord::default()
            };
            assert_eq!(maker(&smtp), want, "{name}");
        }
    }
}
