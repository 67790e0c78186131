//! Finds the captures that the command line names: files, patterns, folders; files of a rotated set in their order of time.
//!
//! Takes:  paths, patterns with `*`, `?` and `[..]`, folders, `-`
//! Gives:  sets of files: a set of several is one capture that was rotated
//! Never:  reads beyond a file's first frames; follows folders inside folders; is silent about a file that it leaves out
//!
//! Files belong to one set if their names differ in numbers only, their link types not at all, and each begins where another ends. Where
//! the first of them goes on beyond the beginning of the second, several were written side by side, and each is put behind the one
//! that it goes on from. What is wrong further on shows when they are read: see [`seam`].
//!
//! What can be read but once (`-`, a named pipe) is never looked at, and stands alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{CaptureError, CaptureInfo, FrameBatch, LinkType, OpenOptions, open};
use crate::net::{Timestamp, seconds};

/// Files taken from one folder or pattern.
pub const MAX_FILES: usize = 100_000;

/// One capture: a file, or the files of a rotated set in order of time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaptureSet {
    /// Its files.
    pub files: Vec<CaptureFile>,
}

/// One file of a [`CaptureSet`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaptureFile {
    /// Path, or `-`.
    pub path: String,
    /// Time of its first frame; `None` where it has none, can be read but once, or is the only capture (then nobody asked).
    pub first: Option<Timestamp>,
}

impl CaptureFile {
    /// Whether it can be read but once.
    #[must_use]
    pub fn is_pipe(&self) -> bool {
        is_pipe(&self.path)
    }
}

fn is_pipe(path: &str) -> bool {
    path == "-" || std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// What [`find`] found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// The captures, in the order of the arguments.
    pub sets: Vec<CaptureSet>,
    /// Sentences on files that were left out, and why. Hold names of files: escape before showing.
    pub notes: Vec<String>,
}

/// Finds the captures that the arguments name.
///
/// # Errors
/// Where an argument names nothing, or a folder cannot be read. A file named outright is not looked at: [`open()`] says what is
/// wrong with it.
pub fn find(args: &[String], options: &OpenOptions) -> Result<Found, CaptureError> {
    find_up_to(args, options, MAX_FILES)
}

/// The same with `most` files of one folder or pattern.
pub(super) fn find_up_to(
    args: &[String],
    options: &OpenOptions,
    most: usize,
) -> Result<Found, CaptureError> {
    let mut found = Found::default();
    let mut paths = Vec::new();
    for arg in args {
        let (named, more) = first_named(arg, most)?;
        if more {
            found.notes.push(format!(
                "{arg} names more than {most} files; only the first {most} by name were read"
            ));
        }
        if is_folder(arg) {
            let before = paths.len();
            for path in named {
                keep_captures(path, options, &mut paths, &mut found.notes);
            }
            if paths.len() == before {
                return Err(CaptureError::NotACapture {
                    path: arg.clone(),
                    reason: "it is a folder without captures".to_owned(),
                });
            }
        } else if is_pattern(arg) {
            for path in named {
                keep_captures(path, options, &mut paths, &mut found.notes);
            }
        } else {
            paths.push(Named::outright(arg.clone()));
        }
    }
    found.sets = sets(paths, options, &mut found.notes);
    if let [_, _, ..] = found.sets.as_slice() {
        for set in &mut found.sets {
            for file in &mut set.files {
                if file.first.is_none() && !file.is_pipe() {
                    // What is wrong with it is told by opening it.
                    file.first = look(&file.path, options).ok().and_then(|seen| seen.first);
                }
            }
        }
    }
    Ok(found)
}

/// The files that an argument names, captures or not: itself, those of a folder, or those that a pattern matches, the first
/// [`MAX_FILES`] of them. None is opened.
///
/// # Errors
/// Where a folder cannot be read, or no file matches a pattern.
pub fn named(arg: &str) -> Result<Vec<String>, CaptureError> {
    Ok(first_named(arg, MAX_FILES)?.0)
}

/// The first `most` of these files by name, and whether there are more.
fn first_named(arg: &str, most: usize) -> Result<(Vec<String>, bool), CaptureError> {
    if is_folder(arg) {
        return folder(arg, most);
    }
    if is_pattern(arg) {
        return pattern(arg, most);
    }
    Ok((vec![arg.to_owned()], false))
}

fn is_folder(arg: &str) -> bool {
    arg != "-" && Path::new(arg).is_dir()
}

fn is_pattern(arg: &str) -> bool {
    arg != "-" && arg.contains(['*', '?', '[']) && !Path::new(arg).exists()
}

/// What lies between two files of a set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seam {
    /// The second goes on where the first ended.
    Continues,
    /// Nothing was captured for this many nanoseconds; a file may be missing.
    Gap(i64),
    /// The second begins this many nanoseconds before the first ends: they are two captures, not one.
    Overlap(i64),
}

/// A silence between two files from which on it is told.
const GAP: i64 = 30_000_000_000;

/// Frames of rotated files may be out of order by as much as this, where several threads wrote them.
const OVERLAP: i64 = 1_000_000_000;

/// How the next file of a set goes on after one that has been read.
#[must_use]
pub fn seam(read: &CaptureInfo, next: &CaptureFile) -> Seam {
    let (Some(last), Some(first)) = (read.last, next.first) else {
        return Seam::Continues;
    };
    match first.nanos_since(last) {
        gap if gap >= GAP => Seam::Gap(gap),
        back if back <= -OVERLAP => Seam::Overlap(back.saturating_neg()),
        _ => Seam::Continues,
    }
}

impl Seam {
    /// What to tell of it, if anything.
    #[must_use]
    pub fn sentence(self, before: &str, after: &str) -> Option<String> {
        match self {
            Self::Continues => None,
            Self::Gap(nanos) => Some(format!(
                "between {before} and {after} nothing was captured for {:.1} s: a file of the set may be missing",
                seconds(nanos)
            )),
            Self::Overlap(nanos) => Some(format!(
                "{after} begins {:.1} s before {before} ends: they overlap, so they are not one rotated capture",
                seconds(nanos)
            )),
        }
    }
}

struct Named {
    path: String,
    /// What its first batch showed, where it was looked at already.
    seen: Option<Seen>,
}

impl Named {
    fn outright(path: String) -> Self {
        Self { path, seen: None }
    }
}

#[derive(Clone, Copy)]
struct Seen {
    first: Option<Timestamp>,
    link: Option<LinkType>,
}

/// Looks at the first frames of a file.
fn look(path: &str, options: &OpenOptions) -> Result<Seen, CaptureError> {
    let mut source = open(path, options)?;
    let mut batch = FrameBatch::default();
    source.next_batch(&mut batch)?;
    let frame = batch.frames.first();
    Ok(Seen {
        first: frame.map(|frame| frame.time),
        link: frame.map(|frame| frame.link),
    })
}

/// Takes a file from a folder or pattern if it is a capture.
fn keep_captures(
    path: String,
    options: &OpenOptions,
    paths: &mut Vec<Named>,
    notes: &mut Vec<String>,
) {
    match look(&path, options) {
        Ok(seen) => paths.push(Named {
            path,
            seen: Some(seen),
        }),
        Err(error) => notes.push(format!("left out: {error}")),
    }
}

/// The first regular files of a folder by name, and whether there are more; hidden ones are left out.
fn folder(path: &str, most: usize) -> Result<(Vec<String>, bool), CaptureError> {
    let failed = |source| CaptureError::Io {
        path: path.to_owned(),
        source,
    };
    let (mut files, mut more) = (BTreeSet::new(), false);
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // A name that is not Unicode cannot stand in a report.
        if let Some(name) = entry.path().to_str()
            && !hidden
            && entry.path().is_file()
        {
            files.insert(name.to_owned());
            if files.len() > most {
                files.pop_last();
                more = true;
            }
        }
    }
    Ok((files.into_iter().collect(), more))
}

/// The first files that a pattern matches, and whether there are more.
fn pattern(pattern: &str, most: usize) -> Result<(Vec<String>, bool), CaptureError> {
    let refuse = |reason: String| CaptureError::NotACapture {
        path: pattern.to_owned(),
        reason,
    };
    let matches = glob::glob(pattern).map_err(|error| {
        refuse(format!(
            "there is no such file, and it is no pattern either: {}",
            error.msg
        ))
    })?;
    let mut matches = matches
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .filter_map(|path| path.to_str().map(str::to_owned));
    let files: Vec<String> = matches.by_ref().take(most).collect();
    if files.is_empty() {
        return Err(refuse("no file matches it".to_owned()));
    }
    Ok((files, matches.next().is_some()))
}

/// Puts files together whose names differ in numbers only.
fn sets(paths: Vec<Named>, options: &OpenOptions, notes: &mut Vec<String>) -> Vec<CaptureSet> {
    let mut groups: Vec<Vec<Named>> = Vec::new();
    let mut by_key: BTreeMap<String, usize> = BTreeMap::new();
    for named in paths {
        let key = key(&named.path);
        match by_key.get(&key).and_then(|&index| groups.get_mut(index)) {
            // What is no regular file is no part of a set, and must not be looked into: a pipe can be read once.
            Some(group) if Path::new(&named.path).is_file() => {
                if group.iter().all(|other| other.path != named.path) {
                    group.push(named);
                } else {
                    notes.push(format!("{} is named twice, and read once", named.path));
                }
            }
            _ => {
                if Path::new(&named.path).is_file() {
                    by_key.insert(key, groups.len());
                }
                groups.push(vec![named]);
            }
        }
    }
    groups
        .into_iter()
        .flat_map(|group| in_order(group, options))
        .collect()
}

/// One set of files of one link type each, by time of first frame.
fn in_order(group: Vec<Named>, options: &OpenOptions) -> Vec<CaptureSet> {
    let alone = group.len() == 1;
    let mut by_link: Vec<(Option<LinkType>, Vec<CaptureFile>)> = Vec::new();
    for Named { path, seen } in group {
        // A file that cannot be opened stands alone, so that opening it says why.
        let seen = match seen {
            Some(seen) => Some(seen),
            None if alone || is_pipe(&path) => None,
            None => look(&path, options).ok(),
        };
        let link = seen.and_then(|seen| seen.link);
        let file = CaptureFile {
            path,
            first: seen.and_then(|seen| seen.first),
        };
        match by_link.iter_mut().find(|(known, _)| *known == link) {
            Some((_, files)) if link.is_some() => files.push(file),
            _ => by_link.push((link, vec![file])),
        }
    }
    by_link
        .into_iter()
        .flat_map(|(_, mut files)| {
            files.sort_by(|a, b| (a.first, &a.path).cmp(&(b.first, &b.path)));
            chains(files, options)
        })
        .collect()
}

/// Puts each file behind the one that it goes on from. All of them are one chain unless the first one goes on beyond the second's
/// beginning: only then is it worth a look at the others.
fn chains(files: Vec<CaptureFile>, options: &OpenOptions) -> Vec<CaptureSet> {
    let goes_beyond = |file: &CaptureFile, next: &CaptureFile| {
        next.first
            .is_some_and(|next| goes_beyond(&file.path, next.plus_nanos(OVERLAP), options))
    };
    match files.as_slice() {
        [first, second, ..] if goes_beyond(first, second) => {}
        _ => return vec![CaptureSet { files }],
    }
    let mut chains: Vec<CaptureSet> = Vec::new();
    for file in files {
        let alike = |chain: &CaptureSet| {
            let last = chain.files.last().map_or("", |last| &last.path);
            let both = last.bytes().zip(file.path.bytes());
            both.take_while(|(a, b)| a == b).count()
        };
        let goes_on = (0..)
            .zip(&chains)
            .filter(|(_, chain)| {
                chain
                    .files
                    .last()
                    .is_some_and(|last| !goes_beyond(last, &file))
            })
            .max_by_key(|(n, chain)| (alike(chain), std::cmp::Reverse(*n)))
            .map(|(n, _): (usize, _)| n);
        match goes_on.and_then(|n| chains.get_mut(n)) {
            Some(chain) => chain.files.push(file),
            None => chains.push(CaptureSet { files: vec![file] }),
        }
    }
    chains
}

/// Frames looked through for the end of a file: reading all of a ring would be reading it twice.
const LOOKED_THROUGH: u64 = 1 << 18;

/// Whether a file goes on behind this moment, as far as it is looked through.
fn goes_beyond(path: &str, moment: Timestamp, options: &OpenOptions) -> bool {
    let Ok(mut source) = open(path, options) else {
        return false;
    };
    let (mut batch, mut frames) = (FrameBatch::default(), 0);
    while frames < LOOKED_THROUGH && source.next_batch(&mut batch).is_ok_and(|more| more) {
        if batch.frames.iter().any(|frame| frame.time > moment) {
            return true;
        }
        frames += batch.frames.len() as u64;
    }
    false
}

/// The path with every number in the file name as `#`: `mail_00012_20240131101500.pcapng` becomes `mail_#_#.pcapng`.
fn key(path: &str) -> String {
    let (folder, name) = match path.rfind(['/', std::path::MAIN_SEPARATOR]) {
        Some(at) => path.split_at(at + 1),
        None => ("", path),
    };
    let mut key = folder.to_owned();
    for c in name.chars() {
        if !c.is_ascii_digit() {
            key.push(c);
        } else if !key.ends_with('#') {
            key.push('#');
        }
    }
    // tcpdump -C writes `name`, `name1`, `name2`.
    key.trim_end_matches('#').to_owned()
}
