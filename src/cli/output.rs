//! Where results go: standard output, and files that are written whole or not at all.
//!
//! Takes:  a finished report
//! Gives:  octets on standard output and in the files of `-o`
//! Never:  follows a link that stands where a file is to be written; writes over a file that was read

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, bail};
use tcptriage::report::model::Report;
use tcptriage::report::{FORMATS, Format, Look, evidence, format_ending};

use super::args::{ReportFormat, Telling, When};

/// Columns assumed where there is no terminal to ask.
const WIDTH_UNKNOWN: usize = 100;

/// Ending of the file of cited frames.
pub(crate) const EVIDENCE: &str = "pcapng";

/// Reads the value of `-o`: the ending must name a format.
pub(crate) fn target(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let ending = ending(&path);
    if ending.as_deref() == Some(EVIDENCE) || format_of(&path).is_some() {
        return Ok(path);
    }
    let known: Vec<&str> = FORMATS.iter().map(|f| f.ending()).collect();
    Err(format!(
        "the ending of '{text}' names no format; write one of {} .{EVIDENCE}",
        known.join(" ")
    ))
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

fn format_of(path: &Path) -> Option<&'static dyn Format> {
    format_ending(&format!(".{}", ending(path)?))
}

/// Whether a format with graphs is wanted.
pub(crate) fn has_graphs(telling: &Telling, format: ReportFormat) -> bool {
    let is_html = |path: &PathBuf| ending(path).as_deref() == Some("html");
    format.name() == "html" || telling.output.iter().any(is_html)
}

/// Whether the file is to hold the cited frames.
pub(crate) fn is_evidence(path: &Path) -> bool {
    ending(path).as_deref() == Some(EVIDENCE)
}

/// Says no, before any work is done, to a file that could not be written in the end.
pub(crate) fn check_target(path: &Path, inputs: &[PathBuf]) -> anyhow::Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        bail!(
            "cannot write {}: there is no folder {}",
            path.display(),
            folder.display()
        );
    }
    if let Ok(meta) = fs::metadata(path) {
        if !meta.is_file() {
            bail!("cannot write {}: it is no regular file", path.display());
        }
        if inputs.iter().any(|input| same_file(path, input)) {
            bail!(
                "cannot write {}: it is one of the files to be read",
                path.display()
            );
        }
    }
    Ok(())
}

/// Whether both paths name one place, whether or not a file is there yet.
pub(crate) fn same_target(a: &Path, b: &Path) -> bool {
    same_file(a, b) || (a.file_name() == b.file_name() && same_file(folder_of(a), folder_of(b)))
}

/// Whether both paths lead to one file, by whatever name or link.
fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
            return a.dev() == b.dev() && a.ino() == b.ino();
        }
    }
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Files that were opened while the right to write to their folders was there.
pub(crate) type Held = Vec<(PathBuf, File)>;

/// Writes the report to a file, in the format of its ending; `keeping` says what is kept of cited frames.
pub(crate) fn write_report(
    path: &Path,
    report: &Report,
    mut keeping: evidence::Keeping<'_>,
    look: Look,
    held: &Held,
) -> anyhow::Result<()> {
    let format = format_of(path);
    let write = |out: &mut dyn Write| match format {
        _ if is_evidence(path) => evidence::write(report, keeping.again(), out),
        Some(format) => format.write(report, look, out),
        None => Err(io::Error::other("the ending names no format")),
    };
    match held.iter().find(|(held, _)| held == path) {
        Some((_, file)) => {
            put_into(file, write).with_context(|| format!("cannot write {}", path.display()))
        }
        None => write_whole(path, write),
    }
}

#[cfg(all(feature = "live", target_os = "linux"))]
use tcptriage::live::privileges::replace as put_into;

/// Without live runs nothing is held.
#[cfg(not(all(feature = "live", target_os = "linux")))]
fn put_into(_: &File, _: impl FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Writes a file by another name in the same folder and renames it at the end: a reader sees the old file or the new one, and
/// a link at `path` is replaced, not followed.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    write_with(path, OpenOptions::new().write(true), write)
}

/// The same for a file that nobody else may read.
pub(crate) fn write_secret(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    write_with(path, options.write(true), write)
}

fn write_with(
    path: &Path,
    options: &mut OpenOptions,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let (temporary, file) = create_beside(path, options.create_new(true)).with_context(cannot)?;
    let mut out = BufWriter::new(file);
    let done = write(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| out.get_ref().sync_all())
        .and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // What could not be finished is of no use to anyone; that it cannot be removed is not the news here.
        let _ = fs::remove_file(&temporary);
    }
    done.with_context(cannot)
}

/// A new file in the folder of `path`; never one that was there before.
fn create_beside(path: &Path, options: &OpenOptions) -> io::Result<(PathBuf, File)> {
    let name = path
        .file_name()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut attempt = 0;
    loop {
        // Nobody who may write to the folder can have taken a name that nobody knows.
        let any = RandomState::new().hash_one(attempt);
        let temporary = folder_of(path).join(format!(".{name}.{any:016x}.tmp"));
        match options.open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                attempt += 1
            }
            Err(error) => return Err(error),
        }
    }
}

/// Standard output, which takes or strips colours, and how text on it should look; `full`: nothing is shortened.
pub(crate) fn stdout(color: When, full: bool) -> (BufWriter<AutoStream<io::Stdout>>, Look) {
    let out = io::stdout();
    let choice = match color {
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
        When::Auto => AutoStream::choice(&out),
    };
    let width = if out.is_terminal() {
        terminal_width()
    } else {
        WIDTH_UNKNOWN
    };
    let look = Look {
        color: choice != ColorChoice::Never,
        width,
        full,
        ..Look::default()
    };
    (BufWriter::new(AutoStream::new(out, choice)), look)
}

/// Standard output for a report. What has no colours to strip goes there as it is.
pub(crate) fn stdout_for(format: &dyn Format, color: When, full: bool) -> (Box<dyn Write>, Look) {
    let (out, look) = stdout(color, full);
    if format.name() == "text" {
        (Box::new(out), look)
    } else {
        (Box::new(BufWriter::new(io::stdout().lock())), look)
    }
}

fn terminal_width() -> usize {
    std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok())
        .or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)))
        .unwrap_or(WIDTH_UNKNOWN)
        .clamp(40, 160)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tcptriage-output-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn endings_name_formats() {
        for (text, ok) in [
            ("report.json", true),
            ("REPORT.JSON", true),
            ("evidence.pcapng", true),
            ("report", false),
            ("report.doc", false),
            (".json", false),
            ("", false),
        ] {
            assert_eq!(target(text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = folder("failed");
        let path = folder.join("r.json");
        fs::write(&path, "old").unwrap();
        let error = write_whole(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(error.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        write_whole(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed_and_inputs_not_overwritten() {
        let folder = folder("links");
        let (precious, link) = (folder.join("precious.json"), folder.join("link.json"));
        fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink(&precious, &link).unwrap();
        assert!(
            check_target(&link, std::slice::from_ref(&precious)).is_err(),
            "a link to an input"
        );
        assert!(
            check_target(&precious, std::slice::from_ref(&precious)).is_err(),
            "an input"
        );
        assert!(check_target(&folder, &[]).is_err(), "a folder");
        assert!(
            check_target(&folder.join("no/r.json"), &[]).is_err(),
            "no such folder"
        );
        assert!(
            check_target(&folder.join("r.json"), &[]).is_ok(),
            "a new file"
        );
        write_whole(&link, |out| out.write_all(b"new")).unwrap();
        let key = folder.join("key.txt");
        write_secret(&key, |out| out.write_all(b"key")).unwrap();
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&key).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "the key is for its owner");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
        fs::remove_dir_all(folder).unwrap();
    }
}
