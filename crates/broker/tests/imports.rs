//! No two files of the broker or the client import each other, directly or by way of others: what a file needs can be read
//! before it.
//!
//! What counts is where an item is defined: a `mod.rs` that only passes on what its files have is no stop on the way.
//! Tests are left out.

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's place, from the crate's root.
type Place = Vec<String>;

/// What one file says.
#[derive(Default)]
struct Module {
    file: String,
    /// Names that it has from elsewhere, and from where.
    imports: BTreeMap<String, Place>,
    /// All that it names, but for what it only passes on.
    names: Vec<Place>,
}

/// The words and signs of a file, without comments, texts and tests.
fn tokens(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = code.split("#[cfg(test)]\nmod properties {").next().unwrap();
    let mut all = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|c| c != '\n') {},
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            // A quotation mark by itself.
            '\'' if chars.peek() == Some(&'"') => drop(chars.next()),
            '\'' if chars.peek() == Some(&'\\') => drop((chars.next(), chars.next())),
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                all.push(word);
            }
            ':' if chars.next_if_eq(&':').is_some() => all.push("::".to_owned()),
            c if !c.is_whitespace() => all.push(c.to_string()),
            _ => {}
        }
    }
    all
}

/// The paths that begin at `at`, a group's each by itself, with the name they have here; and where they end.
fn paths(
    tokens: &[String],
    mut at: usize,
    before: &Place,
    all: &mut Vec<(String, Place)>,
) -> usize {
    let mut path = before.clone();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let from = at;
                    at = paths(tokens, at, &path, all);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                    // A macro's group is no list of names.
                    at += usize::from(at == from);
                }
                return at + 1;
            }
            Some("*") => at += 1,
            Some("self") if !path.is_empty() => at += 1,
            Some(word) if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at).is_none_or(|token| token != "::") {
            break;
        }
        at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|token| token == "as") {
        name = tokens[at + 1].clone();
        at += 2;
    }
    all.push((name, path));
    at
}

/// From the crate's root; `None` for what belongs to other crates.
fn absolute(own: &Place, path: &Place, children: &BTreeSet<String>) -> Option<Place> {
    let first = path.first()?;
    let mut base = own.clone();
    let mut rest = &path[..];
    match first.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {}
        name if children.contains(name) => {}
        _ => return None,
    }
    while rest.first().is_some_and(|word| word == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

fn read(file: &str, own: &Place, text: &str) -> Module {
    let tokens = tokens(text);
    let after = |at: usize, word: &str| at > 0 && tokens[at - 1] == word;
    let declared = tokens
        .windows(3)
        .filter(|three| three[0] == "mod" && three[2] == ";");
    let children: BTreeSet<_> = declared.map(|three| three[1].clone()).collect();
    let mut module = Module {
        file: file.to_owned(),
        ..Module::default()
    };
    let mut at = 0;
    while at < tokens.len() {
        let mut found = Vec::new();
        if tokens[at] == "use" {
            let passed_on = after(at, "pub") || after(at, ")");
            at = paths(&tokens, at + 1, &Place::new(), &mut found);
            for (name, path) in found {
                if let Some(path) = absolute(own, &path, &children) {
                    module.imports.insert(name, path.clone());
                    if !passed_on {
                        module.names.push(path);
                    }
                }
            }
            continue;
        }
        let begins = tokens.get(at + 1).is_some_and(|next| next == "::") && !after(at, "::");
        // `pub(in crate::x)` says who may look, and needs nothing of it.
        if begins && !after(at, "in") {
            // What begins with a sign, as `<T>::new`, has no path.
            at = paths(&tokens, at, &Place::new(), &mut found).max(at + 1);
            let named = found.into_iter();
            let named = named.filter_map(|(_, path)| absolute(own, &path, &children));
            module.names.extend(named);
            continue;
        }
        at += 1;
    }
    module
}

fn collect(root: &Path, folder: &Path, own: &Place, all: &mut BTreeMap<Place, Module>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" || name == "testing" || name == "main" {
            continue;
        }
        let mut place = own.clone();
        if path.is_dir() {
            place.push(name);
            collect(root, &path, &place, all);
        } else if path.extension().is_some_and(|end| end == "rs") {
            if name != "mod" && name != "lib" {
                place.push(name);
            }
            let file = path.strip_prefix(root).unwrap().display().to_string();
            let module = read(&file, &place, &fs::read_to_string(&path).unwrap());
            all.insert(place, module);
        }
    }
}

/// The module that defines what a path names.
fn defined<'a>(all: &'a BTreeMap<Place, Module>, path: &Place, depth: usize) -> Option<&'a Place> {
    let known = (0..=path.len()).rev();
    let length = known
        .into_iter()
        .find(|length| all.contains_key(&path[..*length]))?;
    let (place, module) = all.get_key_value(&path[..length])?;
    let Some(next) = path.get(length).filter(|_| depth < 16) else {
        return Some(place);
    };
    let Some(elsewhere) = module.imports.get(next) else {
        return Some(place);
    };
    let mut longer = elsewhere.clone();
    longer.extend(path[length + 1..].iter().cloned());
    defined(all, &longer, depth + 1)
}

/// Files that need each other: each circle's, sorted.
fn circles(root: &Path) -> BTreeSet<Vec<String>> {
    let mut all = BTreeMap::new();
    collect(root, root, &Place::new(), &mut all);
    assert!(!all.is_empty(), "{} has no files", root.display());
    let needs = |place: &Place| -> BTreeSet<Place> {
        let named = all[place].names.iter();
        let named = named.filter_map(|path| defined(&all, path, 0).cloned());
        named.filter(|of| of != place).collect()
    };
    let direct: BTreeMap<Place, BTreeSet<Place>> = all
        .keys()
        .map(|place| (place.clone(), needs(place)))
        .collect();
    let reach = |from: &Place| {
        let mut reached = BTreeSet::new();
        let mut left: Vec<_> = direct[from].iter().collect();
        while let Some(next) = left.pop() {
            if reached.insert(next.clone()) {
                left.extend(&direct[next]);
            }
        }
        reached
    };
    let reached: BTreeMap<_, _> = direct.keys().map(|place| (place, reach(place))).collect();
    let in_circles = reached
        .iter()
        .filter(|(place, reached)| reached.contains(**place));
    let circle = |(place, these): (&&Place, &BTreeSet<Place>)| {
        let back = these.iter().filter(|other| reached[other].contains(*place));
        let mut files: Vec<_> = back.map(|other| all[other].file.clone()).collect();
        files.sort();
        files
    };
    in_circles.map(circle).collect()
}

#[test]
fn no_files_need_each_other() {
    let broker = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The client's, too: what holds one of them to the rule needs no second copy.
    for root in [broker.join("src"), broker.join("../../src")] {
        let found = circles(&root);
        let root = root.display();
        assert!(
            found.is_empty(),
            "files of {root} that need each other: {found:#?}"
        );
    }
}
