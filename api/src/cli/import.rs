//! `verbatim import`: conversations from a file, as commands.

use crate::{
    config::{Config, Stores},
    wiring::{Failure, FolderLock, Node},
};
use clap::Args;
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use verbatim_application::commands::{ImportOutcome, ImportedMessage, Importer};

/// Lines that are worked on at once. Large enough to fill the batches of the command bus.
const CHUNK: usize = 4_096;
/// Longest line, in bytes.
const LINE_MAX: u64 = 256 * 1024;
/// Lines that are refused and named one by one; further ones are only counted.
const NAMED_MAX: u64 = 100;
/// How long the read models may take to follow, once everything is in the log.
const FOLLOW_LIMIT: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// One JSON object a line: room, sender, body, sent_at
    file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    room: String,
    sender: String,
    body: String,
    sent_at: chrono::DateTime<chrono::Utc>,
}

fn parse(line: &str) -> Result<ImportedMessage, String> {
    let Line { room, sender, body, sent_at } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    // The log keeps microseconds.
    let sent_at = chrono::SubsecRound::trunc_subsecs(sent_at, 6);
    Ok(ImportedMessage { room, sender, body, sent_at })
}

#[derive(Default)]
struct Tally {
    imported: u64,
    repeated: u64,
    refused: u64,
}

impl Tally {
    fn refuse(&mut self, line: u64, why: &str) {
        self.refused += 1;
        if self.refused <= NAMED_MAX {
            super::print(&format!("line {line}: {why}"));
        }
    }
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = arguments.file.display().to_string();
    let file = std::fs::File::open(&arguments.file)
        .map_err(Failure::while_trying(format!("{path} can't be opened")))?;
    let size = file.metadata().map_err(Failure::while_trying(format!("{path} can't be read")))?.len();
    // If a service runs, it projects and pushes; if none does, the read models are brought up to date here.
    let mut alone = folder_if_free(config)?;
    let node = Node::open(config).await?;
    let stop = CancellationToken::new();
    let mut projecting = alone.is_some().then(|| node.project(stop.clone()));
    let bar = super::projections::bar("bytes");
    bar.set_message("importing");
    bar.set_length(size);
    let started = std::time::Instant::now();
    let tally = import(&node, file, &path, &bar).await;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    if alone.is_none() {
        // Who had the folder may have stopped meanwhile, and left the read models where they were.
        alone = folder_if_free(config)?;
        projecting = alone.is_some().then(|| node.project(stop.clone()));
    }
    if let Some(projecting) = projecting {
        if tally.is_ok() {
            let head = node.app.log.head().await?;
            node.app.positions.wait_for(head, FOLLOW_LIMIT).await;
        }
        stop.cancel();
        if let Err(error) = projecting.await {
            tracing::error!(%error, "the projections ended badly; they go on at the next start");
        }
    }
    node.close().await;
    drop(alone);
    let Tally { imported, repeated, refused } = tally?;
    let rate = (imported + repeated) as f64 / seconds.max(f64::EPSILON);
    super::print(&format!(
        "imported {imported} messages, {repeated} were there already, {refused} lines refused; \
         {seconds:.2} s, {rate:.0} messages/s"
    ));
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Held while nobody else projects.
enum Alone {
    /// Nobody else may: the data folder is ours.
    Folder { _lock: FolderLock },
    /// The nodes of a cluster choose among themselves who does, this process among them.
    Cluster,
}

/// The data folder, unless a service or another import has it.
fn folder_if_free(config: &Config) -> Result<Option<Alone>, Failure> {
    if let Stores::Cluster { .. } = config.stores {
        return Ok(Some(Alone::Cluster));
    }
    match FolderLock::take(&config.data) {
        Ok(lock) => Ok(Some(Alone::Folder { _lock: lock })),
        Err(Failure::InUse(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Reads a line into `text`: how many bytes it has in the file, 0 at its end, and whether `text` has all of it. Of one
/// that is longer than [`LINE_MAX`], the rest is passed over.
fn next_line(reader: &mut impl BufRead, text: &mut Vec<u8>) -> std::io::Result<(u64, bool)> {
    text.clear();
    let mut count = reader.by_ref().take(LINE_MAX).read_until(b'\n', text)? as u64;
    if count < LINE_MAX || text.last() == Some(&b'\n') {
        return Ok((count, true));
    }
    count += reader.skip_until(b'\n')? as u64;
    Ok((count, false))
}

async fn import(
    node: &Node,
    file: std::fs::File,
    path: &str,
    bar: &indicatif::ProgressBar,
) -> Result<Tally, Failure> {
    let mut importer = Importer::new(Arc::clone(&node.app));
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut tally = Tally::default();
    let (mut number, mut read, mut text) = (0, 0, Vec::new());
    let mut chunk: Vec<(u64, ImportedMessage)> = Vec::with_capacity(CHUNK);
    loop {
        let (count, whole) = next_line(&mut reader, &mut text)
            .map_err(Failure::while_trying(format!("{path} can't be read on after line {number}")))?;
        if count > 0 {
            number += 1;
            read += count;
        }
        if count > 0 && !whole {
            tally.refuse(number, &format!("is longer than {LINE_MAX} bytes"));
        } else if count > 0 {
            match std::str::from_utf8(&text).map(str::trim) {
                Ok("") => {}
                Ok(line) => match parse(line) {
                    Ok(message) => chunk.push((number, message)),
                    Err(why) => tally.refuse(number, &why),
                },
                Err(error) => tally.refuse(number, &error.to_string()),
            }
        }
        if chunk.len() == CHUNK || (count == 0 && !chunk.is_empty()) {
            let (numbers, messages): (Vec<u64>, Vec<ImportedMessage>) = chunk.drain(..).unzip();
            for (number, outcome) in numbers.into_iter().zip(importer.import(&messages).await) {
                match outcome {
                    Ok(ImportOutcome::Imported) => tally.imported += 1,
                    Ok(ImportOutcome::Repeated) => tally.repeated += 1,
                    Err(error) => {
                        let fields: Vec<String> =
                            error.fields.iter().map(|f| format!("{} {}", f.field, f.detail)).collect();
                        let why = if fields.is_empty() { error.to_string() } else { fields.join(", ") };
                        tally.refuse(number, &why);
                    }
                }
            }
            bar.set_position(read);
        }
        if count == 0 {
            return Ok(tally);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_costs_itself_and_no_other() {
        let long = "x".repeat(usize::try_from(LINE_MAX).unwrap());
        let text = format!("one\n{long}\n\n{long}{long}\ntwo");
        let (mut reader, mut line, mut found) = (BufReader::new(text.as_bytes()), Vec::new(), Vec::new());
        loop {
            match next_line(&mut reader, &mut line).unwrap() {
                (0, _) => break,
                (count, whole) => found.push((count, whole)),
            }
        }
        let long = LINE_MAX + 1;
        assert_eq!(found, [(4, true), (long, false), (1, true), (LINE_MAX + long, false), (3, true)]);
        assert_eq!(found.iter().map(|line| line.0).sum::<u64>(), text.len() as u64);
    }
}
