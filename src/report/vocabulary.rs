//! The words that this program uses itself: what redaction need not hide.
//!
//! Takes:  the sources, from which `build.rs` picks them
//! Gives:  whether a word is one of them
//! Never:  knows a name: names that only tests use are not in it

use std::collections::HashSet;
use std::sync::LazyLock;

static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let words = include_str!(concat!(env!("OUT_DIR"), "/words.txt"));
    words.lines().collect()
});

/// Whether a word, in whatever case, is one of the program's own, alone or in the plural.
pub(super) fn knows(word: &str) -> bool {
    let word = word.to_lowercase();
    let singular = ["s", "es"]
        .into_iter()
        .filter_map(|end| word.strip_suffix(end));
    WORDS.contains(word.as_str()) || singular.filter(|s| s.len() > 2).any(|s| WORDS.contains(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (name, word, known) in [
            ("of texts", "retransmission", true),
            ("in capitals", "Acknowledged", true),
            ("in the plural", "retransmissions", true),
            ("a keyword", "X-ANONYMOUSTLS", true),
            ("of a rule", "chimney", true),
            ("of refusals", "mailbox", true),
            ("of another language", "empfaenger", false),
            ("a name", "secretcorp", false),
            ("of a test alone", "testdomain", false),
        ] {
            assert_eq!(knows(word), known, "{name}");
        }
    }
}
