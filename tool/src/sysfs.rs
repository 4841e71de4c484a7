// SPDX-License-Identifier: GPL-2.0-or-later

//! Files of sysfs and debugfs, below a root directory. What is not there, or goes while it is read, is
//! `None`: devices come and go.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The directory that stands for `/`.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// A path below the root.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The content of a file, without the white space around it. Empty is `None` as well.
pub fn text(file: impl AsRef<Path>) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The content of a file that holds one number, or begins with one.
pub fn number<T: std::str::FromStr>(file: impl AsRef<Path>) -> Option<T> {
    text(file)?.split_whitespace().next()?.parse().ok()
}

/// The numbers of a file.
pub fn numbers(file: impl AsRef<Path>) -> Vec<u64> {
    text(file)
        .unwrap_or_default()
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect()
}

/// Which word of `a [b] c` is in brackets; a single word without brackets is itself.
pub fn chosen(text: &str) -> Option<&str> {
    let bracketed = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    bracketed.or_else(|| {
        let mut words = text.split_whitespace();
        let only = words.next()?;
        words.next().is_none().then_some(only)
    })
}

/// The names in a directory, sorted; numbers in names as numbers.
pub fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_by_cached_key(|name| sort_key(name));
    names
}

/// `md10` comes after `md9`.
fn sort_key(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(stem.len()..).unwrap_or_default();
    (
        stem.to_owned(),
        digits.parse().unwrap_or(0),
        name.to_owned(),
    )
}

/// Where a link leads.
pub fn target(link: impl AsRef<Path>) -> Option<PathBuf> {
    fs::canonicalize(link).ok()
}

/// The parts of a path that are names.
pub fn parts(path: &Path) -> impl DoubleEndedIterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}
