//! Settings of what a node tells of itself: its name, its log, its spans.

use super::{ConfigError, Given, wrong};
use verbatim_observability::{LogFile, host_name};

/// Longest name of a node, in bytes.
const NODE_MAX: usize = 64;
/// MiB of one log file.
const LOG_FILE_MIB: u64 = 100;
/// A TiB: whoever wants more wants no bound.
const LOG_FILE_MIB_MAX: u64 = 1024 * 1024;
/// Log files that are kept.
const LOG_FILES: u64 = 10;
/// Each is renamed when one is full.
const LOG_FILES_MAX: u64 = 1_000;

/// A whole number from a flag or the environment: clap names the flag, and this the variable.
pub(super) fn number(name: &'static str, text: &str) -> Result<u64, ConfigError> {
    text.parse().map_err(|_| wrong(name, format!("{text} is no whole number")))
}

/// A name that is fit for logs, labels and URLs.
pub(super) fn node(given: Option<String>) -> Result<String, ConfigError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match given {
        Some(name) if !(1..=NODE_MAX).contains(&name.len()) || !name.chars().all(fits) => {
            Err(wrong("VERBATIM_NODE", format!("must be 1 to {NODE_MAX} of A-Z a-z 0-9 . _ -")))
        }
        Some(name) => Ok(name),
        None => Ok(host_name().chars().filter(|c| fits(*c)).take(NODE_MAX).collect()),
    }
}

impl Given {
    /// The log file, if there is to be one.
    pub(super) fn log_file(&self) -> Result<Option<LogFile>, ConfigError> {
        let within = |name, given: Option<u64>, default, most: u64| match given.unwrap_or(default) {
            0 => Err(wrong(name, "must be at least 1")),
            more if more > most => Err(wrong(name, format!("must be at most {most}"))),
            fine => Ok(fine),
        };
        let mib = within("VERBATIM_LOG_FILE_MIB", self.log_file_mib, LOG_FILE_MIB, LOG_FILE_MIB_MAX)?;
        let files = within("VERBATIM_LOG_FILES", self.log_files, LOG_FILES, LOG_FILES_MAX)?;
        let Some(path) = self.log_file.clone() else { return Ok(None) };
        if path.file_name().is_none() {
            return Err(wrong("VERBATIM_LOG_FILE", "names no file"));
        }
        let files_max = u32::try_from(files).unwrap_or(u32::MAX);
        Ok(Some(LogFile { path, bytes_max: mib * 1024 * 1024, files_max }))
    }

    /// Where spans go, and which part of the traces that begin here.
    pub(super) fn spans(&self) -> Result<Option<(String, f64)>, ConfigError> {
        let sample = self.trace_sample.as_deref().unwrap_or("1");
        let part = sample.parse().ok().filter(|part| (0.0..=1.0).contains(part));
        let part =
            part.ok_or_else(|| wrong("VERBATIM_TRACE_SAMPLE", format!("{sample} is no number from 0 to 1")))?;
        match self.otlp_endpoint.as_deref() {
            None => Ok(None),
            Some(url) if url.strip_prefix("http://").is_some_and(|host| !host.is_empty()) => {
                Ok(Some((url.to_owned(), part)))
            }
            Some(_) => {
                let why = "must begin with http:// and name a host: a collector stands beside the node";
                Err(wrong("VERBATIM_OTLP_ENDPOINT", why))
            }
        }
    }
}
