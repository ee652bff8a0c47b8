//! `verbatim events`: the log, by position.

use crate::{
    config::Config,
    wiring::{self, Failure},
};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, value::RawValue};
use std::{io::Write, process::ExitCode, time::Duration};
use verbatim_application::ports::{EventLog, READ_BATCH_MAX, RecordedEvent};

/// How often a tail looks at the log by itself, should a hint be lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Prints events as they come, one JSON object a line
    Tail(Tail),
    /// Prints the whole log, one JSON object a line
    Export(Export),
    /// Reads the whole log and checks that it is sound
    Verify,
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    /// Events before the new ones
    #[arg(short = 'n', long, default_value_t = 10)]
    last: u64,
    /// Stop at the end of the log
    #[arg(long)]
    no_follow: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One JSON object a line
    Ndjson,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// How it is written
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Only events after this position
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// With password hashes, as a backup needs them; otherwise they are left out
    #[arg(long)]
    with_secrets: bool,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    position: u64,
    recorded_at: verbatim_domain::Timestamp,
    aggregate_type: &'a str,
    aggregate_id: uuid::Uuid,
    sequence: u64,
    event_type: &'a str,
    event_version: &'a str,
    payload: Box<RawValue>,
    metadata: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
}

/// Takes password hashes out, wherever they stand.
fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "password_hash" && !field.is_null() {
                    *field = Value::from("redacted");
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn line(event: &RecordedEvent, with_secrets: bool) -> Result<String, serde_json::Error> {
    let payload = if with_secrets || !event.payload.contains("password_hash") {
        RawValue::from_string(event.payload.clone())?
    } else {
        let mut value: Value = serde_json::from_str(&event.payload)?;
        redact(&mut value);
        RawValue::from_string(value.to_string())?
    };
    serde_json::to_string(&Line {
        position: event.position,
        recorded_at: event.recorded_at,
        aggregate_type: &event.aggregate_type,
        aggregate_id: event.aggregate_id,
        sequence: event.sequence,
        event_type: &event.event_type,
        event_version: &event.event_version,
        payload,
        metadata: RawValue::from_string(event.metadata.clone())?,
        idempotency_key: event.idempotency_key.as_deref(),
    })
}

/// Prints events after `position` up to the end; gives the last position. `None`: nobody reads any more.
async fn print_after(
    log: &dyn EventLog,
    mut position: u64,
    with_secrets: bool,
) -> Result<Option<u64>, Failure> {
    loop {
        let events = log.read(position, READ_BATCH_MAX).await?;
        let Some(last) = events.last() else { return Ok(Some(position)) };
        position = last.position;
        let mut text = String::new();
        for event in &events {
            text.push_str(&line(event, with_secrets)?);
            text.push('\n');
        }
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Ok(None);
        }
    }
}

pub(super) async fn run(config: &Config, command: Command) -> Result<ExitCode, Failure> {
    if matches!(command, Command::Verify) {
        let report = wiring::check_log(config).await?;
        super::print(&format!("{} events, sound up to position {}", report.events, report.head));
        return Ok(ExitCode::SUCCESS);
    }
    let log = wiring::open_log(config).await?;
    match command {
        Command::Export(export) => {
            let Format::Ndjson = export.format;
            print_after(log.as_ref(), export.after, export.with_secrets).await?;
        }
        Command::Tail(tail) => {
            let mut hint = log.head_hint();
            let mut position = log.head().await?.saturating_sub(tail.last);
            while let Some(last) = print_after(log.as_ref(), position, false).await? {
                position = last;
                if tail.no_follow {
                    break;
                }
                tokio::select! {
                    changed = tokio::time::timeout(LOOK_EVERY, hint.changed()) => {
                        if matches!(changed, Ok(Err(_))) { break }
                    }
                    _ = tokio::signal::ctrl_c() => break,
                }
            }
        }
        Command::Verify => {}
    }
    Ok(ExitCode::SUCCESS)
}
