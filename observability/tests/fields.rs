//! Every field that the source gives a log line is one that the index knows. What runs in tests would not show a line that
//! is only written on a bad day.
#![allow(clippy::unwrap_used, reason = "what is not as it should be ends the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};
use verbatim_observability::FIELDS;

const CRATES: [&str; 7] =
    ["api", "application", "domain", "infrastructure", "migrations", "observability", "projections"];
const MACROS: [&str; 11] = [
    "error!(",
    "warn!(",
    "info!(",
    "debug!(",
    "trace!(",
    "error_span!(",
    "warn_span!(",
    "info_span!(",
    "debug_span!(",
    "trace_span!(",
    "event!(",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of a macro call, given what follows its opening parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut arguments = vec![String::new()];
    for c in text.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                '"' => quoted = true,
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    arguments.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        arguments.last_mut().unwrap().push(c);
    }
    arguments.iter().map(|argument| argument.trim().to_owned()).collect()
}

/// The name of the field that an argument gives, if it gives one. After the text come what it is formatted with.
fn fields(arguments: &[String]) -> Vec<String> {
    let mut fields = Vec::new();
    for argument in arguments {
        if argument.starts_with('"') {
            break;
        }
        let name = argument.trim_start_matches(['%', '?']);
        let name = name.split_once('=').map_or(name, |(name, _)| name).trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        // `target: "x"` and the like are no fields, nor is what a macro of ours passes on.
        if is_name {
            fields.push(name.to_owned());
        }
    }
    fields
}

#[test]
fn arguments_are_told_apart() {
    let text = r#"%room, seq, error = chain(&e, "a, b"), target: "x", ?names, "text, {}", more), after"#;
    assert_eq!(fields(&arguments(text)), ["room", "seq", "error", "names"]);
}

#[test]
fn all_fields_are_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for name in CRATES {
        sources(&root.join(name).join("src"), &mut files);
    }
    let (mut calls, mut unknown) = (0, Vec::new());
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for (at, _) in text.match_indices("tracing::") {
            let call = &text[at + "tracing::".len()..];
            let Some(name) = MACROS.iter().find(|name| call.starts_with(**name)) else { continue };
            calls += 1;
            let mut arguments = arguments(&call[name.len()..]);
            if name.contains("span") && arguments.first().is_some_and(|name| name.starts_with('"')) {
                arguments.remove(0);
            }
            let strange: Vec<String> =
                fields(&arguments).into_iter().filter(|field| !FIELDS.contains_key(field)).collect();
            if !strange.is_empty() {
                unknown.push(format!("{}: {strange:?}", file.display()));
            }
        }
    }
    assert!(calls > 30, "only {calls} were found");
    assert!(unknown.is_empty(), "observability/log-fields.json does not have these:\n{}", unknown.join("\n"));
}
