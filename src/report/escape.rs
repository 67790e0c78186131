//! Makes text from packets and files harmless for what it is printed on: the only place that does.
//!
//! Takes:  hostile text: banners, file names, comments
//! Gives:  the same text with everything shown that would otherwise act
//! Never:  lets a terminal control, a change of writing direction or a line end through

use std::fmt::Write as _;

/// Longest piece of foreign text that is shown whole, in characters.
pub const MAX_SHOWN: usize = 2_000;

/// One line for a terminal or a plain file. Control characters, line ends, invisible characters and those that change the direction of
/// writing are shown as escapes (`\n`, `\u{202e}`); what is longer than [`MAX_SHOWN`] is cut and says so.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_SHOWN));
    for (shown, c) in text.chars().enumerate() {
        if shown == MAX_SHOWN {
            let rest = text.chars().count() - shown;
            let _ = write!(out, "… ({rest} more characters)");
            break;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if acts(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether a character does something instead of showing something: C0 and C1 controls, bidirectional controls (Unicode TR 36),
/// zero-width and other invisible ones, line and paragraph separators, tags, and those without a meaning.
pub(super) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00AD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF | 0xE000..=0xF8FF | 0xF0000..=0x0010_FFFF)
}

/// One line inside Markdown: as [`line()`], and every character that Markdown or HTML would read is escaped.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '@' => out.push_str("&#64;"),
            c => out.push(c),
        }
    }
    // A bare address would turn into a link by itself; with an entity in it, it looks the same and does not.
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A span of code inside Markdown: fenced by more backticks than it holds.
#[must_use]
pub fn markdown_code(text: &str) -> String {
    let text = line(text);
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// One field of CSV (RFC 4180), always safe to open in a spreadsheet: what would be taken for a formula gets an apostrophe before it.
#[must_use]
pub fn csv(text: &str) -> String {
    let mut text = line(text);
    if text.starts_with(['=', '+', '-', '@', '|', '%'])
        || text.starts_with("\\t")
        || text.starts_with("\\r")
    {
        text.insert(0, '\'');
    }
    if text.contains([',', '"', ';', '\'', ' ']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal() {
        for (name, text, want) in [
            ("plain", "250 OK", "250 OK"),
            ("letters of the world", "Größe 大きさ", "Größe 大きさ"),
            ("escape sequence", "\u{1b}[31mred", "\\u{1b}[31mred"),
            ("C1 control", "\u{9b}31m", "\\u{9b}31m"),
            ("line ends", "a\r\nb", "a\\r\\nb"),
            ("bidi override", "a\u{202e}b", "a\\u{202e}b"),
            ("isolate", "\u{2066}", "\\u{2066}"),
            ("zero width", "a\u{200b}b", "a\\u{200b}b"),
            ("bell, backspace", "\u{7}\u{8}", "\\u{7}\\u{8}"),
            ("nul", "\0", "\\u{0}"),
            (
                "replacement for invalid octets stays visible",
                "\u{fffd}",
                "\u{fffd}",
            ),
        ] {
            assert_eq!(line(text), want, "{name}");
        }
        let long = line(&"x".repeat(10_000_000));
        assert!(long.len() < MAX_SHOWN + 100 && long.ends_with("(9998000 more characters)"));
    }

    #[test]
    fn nothing_acts_in_markdown() {
        for (name, text, want) in [
            ("tags", "<script>", "&lt;script&gt;"),
            ("link", "[a](http://b)", "\\[a\\](http&#58;//b)"),
            ("table cell", "a|b", "a\\|b"),
            ("mention", "@all", "&#64;all"),
            ("entity", "&lt;", "&amp;lt;"),
            ("line end", "a\n# b", "a\\\\n\\# b"),
        ] {
            assert_eq!(markdown(text), want, "{name}");
        }
        for (name, text, want) in [
            ("plain", "tcp.stream == 3", "`tcp.stream == 3`"),
            ("a backtick", "a`b", "``a`b``"),
            ("at the edge", "`", "`` ` ``"),
        ] {
            assert_eq!(markdown_code(text), want, "{name}");
        }
    }

    #[test]
    fn no_formula_in_csv() {
        for (name, text, want) in [
            ("plain", "smtp", "smtp"),
            ("endpoint", "[2001:db8::1]:25", "[2001:db8::1]:25"),
            ("formula", "=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("minus", "-1+1", "\"'-1+1\""),
            ("at", "@SUM(A1)", "\"'@SUM(A1)\""),
            ("tab first", "\t=1", "\"'\\t=1\""),
            ("quote and comma", "a\",b", "\"a\"\",b\""),
        ] {
            assert_eq!(csv(text), want, "{name}");
        }
    }
}
