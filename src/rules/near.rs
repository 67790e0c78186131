//! What was probably meant by a name that is not known.
//!
//! Takes:  a name, and those that there are
//! Gives:  the nearest of them, where any is near
//! Never:  changes what was asked for

/// At most `count` of `candidates` that are near to `query`, the nearest first.
pub(super) fn of<S: AsRef<str>>(
    query: &str,
    candidates: impl IntoIterator<Item = S>,
    count: usize,
) -> Vec<String> {
    let query: Vec<char> = query
        .to_lowercase()
        .replace(['.', '_', ' '], "-")
        .chars()
        .take(100)
        .collect();
    let mut scored: Vec<(usize, String)> = candidates
        .into_iter()
        .filter_map(|c| {
            let name = c.as_ref();
            let plain: Vec<char> = name
                .to_lowercase()
                .replace(['.', '_', ' '], "-")
                .chars()
                .collect();
            let inside =
                query.len() >= 3 && plain.windows(query.len()).any(|w| w == query.as_slice());
            let edits = distance(&query, &plain);
            let near = inside || edits * 5 <= plain.len().max(query.len()) * 2;
            near.then(|| (if inside { edits / 4 } else { edits }, name.to_owned()))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.truncate(count);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// Least number of inserted, dropped, changed or swapped letters.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |r: &[usize], k: usize| r.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let ids = [
            "smtp.tarpit",
            "smtp-tarpit",
            "storm.retransmission",
            "offload-chimney",
        ];
        for (query, want) in [
            ("smtp.trapit", Some("smtp-tarpit")),
            ("chimney", Some("offload-chimney")),
            ("retransmission", Some("storm.retransmission")),
            ("offload.chimney", Some("offload-chimney")),
            ("zzzz", None),
        ] {
            let got = of(query, ids, 1);
            assert_eq!(got.first().map(String::as_str), want, "{query}");
        }
    }
}
