//! The server's own check: each projection against one folded from the log.

use super::world::World;
use crate::Error;
use std::time::Duration;

/// Each command may take this long.
const LIMIT: Duration = Duration::from_secs(120);
/// What is quoted of a command that found something.
const MAX_QUOTE: usize = 2000;

/// `verbatim projections verify` for every projection there is; what it finds is an incident.
///
/// # Errors
/// The projections cannot be listed.
pub(super) async fn run(world: &World) -> Result<(), Error> {
    let names = projections(&world.launch).await?;
    let mut args = vec!["projections", "verify"];
    args.extend(names.iter().map(String::as_str));
    let (status, output) = world.launch.cli(&args, LIMIT).await?;
    if !status.success() {
        let quote: String = output.chars().take(MAX_QUOTE).collect();
        world.journal.incident(format!("verbatim {}: {status}: {quote}", args.join(" ")));
    }
    Ok(())
}

/// Names from `projections status --json`.
///
/// # Errors
/// The command fails or names none.
pub(super) async fn projections(launch: &crate::process::Launch) -> Result<Vec<String>, Error> {
    let (status, output) = launch.cli(&["projections", "status", "--json"], LIMIT).await?;
    let json: serde_json::Value = serde_json::from_str(&output).map_err(|error| {
        Error::Protocol(format!("projections status --json ({status}): {error}: {output}"))
    })?;
    let mut names = Vec::new();
    collect_names(&json, &mut names);
    if names.is_empty() {
        return Err(Error::Protocol(format!("projections status --json names none: {output}")));
    }
    Ok(names)
}

/// Every `name` in the answer, whatever it is wrapped in.
fn collect_names(json: &serde_json::Value, names: &mut Vec<String>) {
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        serde_json::Value::Object(fields) => match fields.get("name") {
            Some(serde_json::Value::String(name)) if !names.contains(name) => names.push(name.clone()),
            Some(_) => {}
            None => fields.values().for_each(|value| collect_names(value, names)),
        },
        _ => {}
    }
}
