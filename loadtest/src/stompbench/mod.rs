//! Load generator for any STOMP-over-WebSocket server, so that two servers can be measured on the same work.
//!
//! S subscribers listen on D destinations (round robin), P publishers send M messages in all, each keeping at most W
//! unconfirmed sends (RECEIPT) in flight, or at a fixed rate R. Each message carries a [`marker`] somewhere in its
//! body, so a server may wrap it in JSON. Reports accepted/s, delivered/s, latency quantiles, and, per subscriber and
//! publisher, what was lost, duplicated or out of order.

mod args;
mod ledger;
pub mod marker;
mod publisher;
mod subscriber;
mod summary;

pub use args::Args;
pub use ledger::Ledger;
pub use summary::{Hold, Quantiles, Summary};

use crate::Error;
use crate::process::Usage;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

/// Connections that are being opened at the same time.
const MAX_CONNECTING: usize = 64;
/// All subscribers must be up within this, or the run is off.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(120);
/// A subscriber that has been told to stop does so within this.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at the number of deliveries once all is sent.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// After the last expected delivery, so that duplicates have the time to show.
const LINGER: Duration = Duration::from_millis(300);
/// Longest latency that is told apart: 10 minutes, in microseconds.
const MAX_LATENCY_MICROS: u64 = 600_000_000;

/// What all tasks of a run share.
pub(crate) struct Shared {
    args: Args,
    ids: Vec<String>,
    tokens: Vec<String>,
    /// Tells this run's messages from what an earlier one left in a destination.
    run: u64,
    epoch: Instant,
    delivered: AtomicU64,
    last_delivery: AtomicU64,
}

impl Shared {
    fn micros(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// CONNECT headers of the client with this index.
    fn connect_headers(&self, index: usize) -> Result<Vec<(String, String)>, Error> {
        let mut headers = vec![("host".to_owned(), self.args.vhost.clone())];
        for header in &self.args.header {
            let (name, value) = split_header(header)?;
            headers.push((name.to_owned(), value.replace("{i}", &index.to_string())));
        }
        headers.extend(self.authorization(index));
        Ok(headers)
    }

    fn authorization(&self, index: usize) -> Option<(String, String)> {
        let token = self.tokens.get(index % self.tokens.len().max(1))?;
        Some(("Authorization".to_owned(), format!("Bearer {token}")))
    }

    /// The destination's id for a subscriber or a message with this number.
    fn id(&self, number: usize) -> &str {
        self.ids.get(number % self.ids.len().max(1)).map_or("0", String::as_str)
    }
}

fn split_header(text: &str) -> Result<(&str, &str), Error> {
    text.split_once(':').ok_or_else(|| Error::Setup(format!("header needs name:value, got {text:?}")))
}

/// An empty latency histogram in microseconds.
pub(crate) fn histogram() -> Result<Histogram<u64>, Error> {
    Histogram::new_with_bounds(1, MAX_LATENCY_MICROS, 3).map_err(|error| Error::Setup(error.to_string()))
}

/// Runs the load that `args` describe; `say` gets each line of the report as soon as it is known.
///
/// # Errors
/// The arguments contradict each other, a file cannot be read, or no subscriber and no publisher gets through.
pub async fn run(args: Args, mut say: impl FnMut(String)) -> Result<Summary, Error> {
    let shared = Arc::new(prepare(args)?);
    let args = &shared.args;
    let pids = args.pids()?;
    let before = Usage::of(&pids);
    let (stop, stopped) = watch::channel(false);
    let gate = Arc::new(Semaphore::new(MAX_CONNECTING));
    let (up, mut ups) = mpsc::channel(MAX_CONNECTING);
    let began = Instant::now();
    let mut subscribers = Vec::with_capacity(args.subs);
    for index in 0..args.subs {
        let task = subscriber::run(index, shared.clone(), gate.clone(), up.clone(), stopped.clone());
        subscribers.push(tokio::spawn(task));
    }
    drop(up);
    let mut listening = vec![false; args.subs];
    let gather = async {
        while let Some((index, is_up)) = ups.recv().await {
            if let Some(slot) = listening.get_mut(index) {
                *slot = is_up;
            }
        }
    };
    timeout(SUBSCRIBE_LIMIT, gather)
        .await
        .map_err(|_| Error::timeout("all subscribers up", SUBSCRIBE_LIMIT))?;
    let connected = listening.iter().filter(|up| **up).count();
    let mut summary = Summary { subscribers: connected, asked: args.subs, ..Summary::default() };
    summary.connect_seconds = began.elapsed().as_secs_f64();
    say(summary.subscribers_line());
    if args.hold > 0 {
        sleep(Duration::from_secs(args.hold)).await;
        if !pids.is_empty() {
            summary.hold = Some(Hold::new(before, Usage::of(&pids), connected));
            summary.hold.iter().for_each(|hold| say(hold.line()));
        }
        return Ok(summary);
    }
    let accepted = publish(&shared, &mut summary).await?;
    summary.expected = expected(&accepted, &listening);
    drain(&shared, &summary).await;
    summary.delivered = shared.delivered.load(Relaxed);
    let span = shared.last_delivery.load(Relaxed).saturating_sub(summary.start_micros);
    summary.deliver_seconds = span as f64 / 1e6;
    stop.send(true).ok();
    let mut latency = histogram()?;
    for task in subscribers {
        let Ok(Ok(Ok(outcome))) = timeout(STOP_LIMIT, task).await else {
            summary.failed_subscribers += 1;
            continue;
        };
        latency.add(&outcome.latency).map_err(|error| Error::Setup(error.to_string()))?;
        summary.duplicated += outcome.duplicated;
        summary.out_of_order += outcome.out_of_order;
        summary.failed_subscribers += u64::from(outcome.failed);
    }
    summary.latency = Quantiles::of(&latency);
    if !pids.is_empty() {
        let after = Usage::of(&pids);
        summary.server_rss_kib = after.rss_kib;
        summary.server_cpu_seconds = after.cpu_seconds - before.cpu_seconds;
    }
    summary.load_lines(!pids.is_empty()).into_iter().for_each(say);
    Ok(summary)
}

fn prepare(args: Args) -> Result<Shared, Error> {
    args.check()?;
    let tokens = args.tokens.as_deref().map(lines).transpose()?.unwrap_or_default();
    let ids = match args.ids.as_deref() {
        Some(file) => lines(file)?.into_iter().take(args.dests).collect(),
        None => (0..args.dests).map(|dest| dest.to_string()).collect::<Vec<_>>(),
    };
    if ids.len() != args.dests {
        return Err(Error::Setup(format!("{} destination ids for --dests {}", ids.len(), args.dests)));
    }
    Ok(Shared {
        args,
        ids,
        tokens,
        run: u64::from(rand::random::<u32>()),
        epoch: Instant::now(),
        delivered: AtomicU64::new(0),
        last_delivery: AtomicU64::new(0),
    })
}

fn lines(file: &str) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io(file))?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Runs the publishers; answers how many messages each destination accepted.
async fn publish(shared: &Arc<Shared>, summary: &mut Summary) -> Result<Vec<u64>, Error> {
    let start = Instant::now();
    summary.start_micros = shared.micros();
    let tasks: Vec<_> =
        (0..shared.args.pubs).map(|index| tokio::spawn(publisher::run(index, shared.clone()))).collect();
    let mut accepted = vec![0; shared.ids.len()];
    let mut receipts = histogram()?;
    for task in tasks {
        let outcome = task.await.map_err(|error| Error::Setup(error.to_string()))??;
        for (sum, count) in accepted.iter_mut().zip(&outcome.accepted) {
            *sum += count;
        }
        receipts.add(&outcome.receipts).map_err(|error| Error::Setup(error.to_string()))?;
    }
    summary.accept_seconds = start.elapsed().as_secs_f64();
    summary.accepted = accepted.iter().sum();
    summary.receipts = Quantiles::of(&receipts);
    Ok(accepted)
}

/// Every subscriber of a destination should see every message accepted there.
fn expected(accepted: &[u64], listening: &[bool]) -> u64 {
    let dests = accepted.len().max(1);
    let up = listening.iter().enumerate().filter(|(_, up)| **up);
    up.filter_map(|(index, _)| accepted.get(index % dests)).sum()
}

async fn drain(shared: &Shared, summary: &Summary) {
    let limit = Duration::from_secs(shared.args.drain);
    let since = Instant::now();
    while shared.delivered.load(Relaxed) < summary.expected && since.elapsed() < limit {
        sleep(DRAIN_POLL).await;
    }
    sleep(LINGER).await;
}

#[cfg(test)]
mod tests {
    use super::expected;

    #[test]
    fn each_subscriber_expects_what_its_destination_accepted() {
        assert_eq!(expected(&[10, 3], &[true, true, true]), 23);
        assert_eq!(expected(&[10, 3], &[true, false, false]), 10);
        assert_eq!(expected(&[10], &[]), 0);
    }
}
