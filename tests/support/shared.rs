//! Captures beside the repository, and what is known of them: for tests that can do without.
//!
//! Takes:  a folder in `../shared`
//! Gives:  its files; what the laboratory wrote down of each frame; Wireshark's labels
//! Never:  fails where the folder is not there: it says so, and the test passes

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::ops::Index;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A folder in `../shared`; `None`, and a word on it, where it is not there.
pub fn folder(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no ../shared/{name}");
    None
}

/// All files below a folder, in order.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What a gzip file holds.
pub fn unpacked(path: &Path) -> Vec<u8> {
    let mut octets = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

/// The laboratory's scenarios, in order; none where they are not there.
pub fn scenarios() -> Vec<PathBuf> {
    let Some(lab) = folder("captures/lab") else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = fs::read_dir(lab)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("truth.json.gz").is_file())
        .collect();
    found.sort();
    found
}

/// What the laboratory wrote down of one scenario.
pub fn truth(scenario: &Path) -> Value {
    serde_json::from_slice(&unpacked(&scenario.join("truth.json.gz"))).unwrap()
}

/// One frame of a scenario: its columns by name.
pub struct Row<'a> {
    columns: &'a [Value],
    places: &'a HashMap<&'a str, usize>,
}

impl Index<&str> for Row<'_> {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        &self.columns[self.places[name]]
    }
}

/// Hands on each frame that the laboratory wrote down.
pub fn for_each_frame(truth: &Value, mut each: impl FnMut(Row<'_>)) {
    let places = truth["frame_columns"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(n, name)| (name.as_str().unwrap(), n))
        .collect();
    for row in truth["frames"].as_array().unwrap() {
        each(Row {
            columns: row.as_array().unwrap(),
            places: &places,
        });
    }
}

/// A capture and what Wireshark says of its TCP segments: stream and labels by frame.
pub struct Labelled {
    pub capture: PathBuf,
    /// Below the folder of all captures.
    pub name: String,
    pub frames: BTreeMap<u64, String>,
}

/// All captures that there are labels of; `None` where there are no labels.
pub fn labelled() -> Option<Vec<Labelled>> {
    let labels = folder("score/labels")?;
    let captures = labels.join("../../captures");
    let mut found = Vec::new();
    for root in ["public", "lab"].map(|name| captures.join(name)) {
        for capture in files(&root) {
            let name = capture.strip_prefix(&root).unwrap().to_str().unwrap();
            let label = labels.join(format!("{}.tsv.gz", name.replace('/', "__")));
            if !label.is_file() {
                continue;
            }
            let text = String::from_utf8(unpacked(&label)).unwrap();
            let frames = text.lines().filter_map(|line| {
                let (frame, said) = line.split_once('\t')?;
                Some((frame.parse().ok()?, said.to_owned()))
            });
            found.push(Labelled {
                name: name.to_owned(),
                frames: frames.collect(),
                capture,
            });
        }
    }
    Some(found)
}
