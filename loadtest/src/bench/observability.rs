//! What being watched costs: durable chat with every request in a log file and a scrape each second, beside the same with
//! neither.

use super::figure::{Figure, Target};
use super::options::Options;
use super::runner::{faults, stompbench, strings};
use super::setup::{Stand, fresh_folder};
use crate::Error;
use crate::ids::RoomId;
use crate::stompbench::Summary;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

const ROOMS: usize = 100;
/// As in the scenario `durable`.
const LOAD: &str = "--dests 100 --subs 200 --pubs 8 --window 32";
/// As Prometheus may be set to.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// Asks for `/metrics` until it is dropped.
struct Scraper(JoinHandle<()>);

impl Scraper {
    fn start(base: &str) -> Result<Self, Error> {
        let (http, url) =
            (reqwest::Client::builder().timeout(SCRAPE_EVERY).build()?, format!("{base}/metrics"));
        Ok(Self(tokio::spawn(async move {
            let mut clock = interval(SCRAPE_EVERY);
            clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                clock.tick().await;
                if let Ok(answer) = http.get(&url).send().await {
                    // Read to its end, as Prometheus does.
                    let _ = answer.bytes().await;
                }
            }
        })))
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn one(
    options: &Options,
    stand: &mut Stand,
    rooms: &[RoomId],
    watched: bool,
) -> Result<Summary, Error> {
    // Standard output is a file.
    stand.launch.env = if watched { vec![] } else { vec![("VERBATIM_LOG".to_owned(), "off".to_owned())] };
    stand.start().await?;
    stand.log_in().await?;
    let _scraper = if watched { Some(Scraper::start(&stand.launch.base())?) } else { None };
    let own = format!("{LOAD} --messages {}", options.amount(100_000));
    let own = strings(&own.split(' ').collect::<Vec<_>>());
    let args = stand.args(rooms)?;
    let summary = stompbench(options, stand.folder(), &[args, own].concat()).await?;
    stand.stop().await?;
    Ok(summary)
}

pub(super) async fn run(options: &Options, say: &mut impl FnMut(String)) -> Result<Figure, Error> {
    let mut stand = Stand::new(options, fresh_folder(options)?)?;
    stand.start().await?;
    say(format!("registering {} members, opening {ROOMS} rooms", options.members));
    stand.register(options.members).await?;
    let rooms = stand.open_rooms(ROOMS).await?;
    stand.stop().await?;
    let (mut watched, mut silent, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=options.repeat {
        // The log grows from run to run: who goes first takes turns.
        let first = run % 2 == 0;
        for watching in [first, !first] {
            let summary = one(options, &mut stand, &rooms, watching).await?;
            let (who, rates) = if watching { ("watched", &mut watched) } else { ("silent", &mut silent) };
            rates.push(summary.accepted_rate());
            let each = 1e6 * summary.server_cpu_seconds / (summary.accepted.max(1)) as f64;
            notes.push(format!("run {run}, {who}: {each:.1} us of the server's processor time each"));
            notes.extend(faults(who, &summary));
            say(format!("observability, {who}: {:.0} accepted/s", summary.accepted_rate()));
        }
    }
    Ok(Figure {
        name: "durable chat, watched".to_owned(),
        unit: "accepted/s",
        runs: watched,
        comparison: Some(("no log, no scrape", silent)),
        target: Target::RatioAtLeast(0.95),
        command: format!("stompbench {LOAD} --messages {}", options.amount(100_000)),
        notes,
    })
}
