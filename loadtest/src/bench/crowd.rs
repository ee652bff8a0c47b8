//! Cost of a send in a room of 10,000 members, beside a room of 10.

use super::figure::{Figure, Target};
use super::imports::{self, Talk};
use super::options::Options;
use super::runner::{faults, stompbench, strings};
use super::setup::{Stand, fresh_folder};
use crate::Error;
use std::time::Duration;

const IMPORT_LIMIT: Duration = Duration::from_secs(300);
/// Members of the large room, each of whom has said one thing there. Registering that many would take an hour of
/// argon2, so they come by import.
const MANY: u64 = 10_000;
const FEW: u64 = 10;
/// The load, the same for both rooms.
const LOAD: &str = "--dests 1 --subs 2 --pubs 4 --window 32";

pub(super) async fn run(options: &Options, say: &mut impl FnMut(String)) -> Result<Figure, Error> {
    let mut stand = Stand::new(options, fresh_folder(options)?)?;
    let file = stand.folder().join("crowd.ndjson");
    let sender: fn(u64) -> String = |number| format!("person-{number}");
    let large = Talk { messages: MANY, room: |_| "Crowd".to_owned(), sender };
    let small = Talk { messages: FEW, room: |_| "Handful".to_owned(), sender };
    imports::write(&file, &[large, small])?;
    say(format!("importing a room of {MANY} members and one of {FEW}"));
    stand.cli(&["import", &file.display().to_string()], IMPORT_LIMIT).await?;
    stand.start().await?;
    stand.register(2).await?;
    let rooms = [stand.find_room("Crowd").await?.room_id, stand.find_room("Handful").await?.room_id];
    stand.join(&rooms).await?;
    let load = format!("{LOAD} --messages {}", options.amount(30_000));
    let own = strings(&load.split(' ').collect::<Vec<_>>());
    let mut costs = [Vec::new(), Vec::new()];
    let mut notes = Vec::new();
    for run in 1..=options.repeat {
        for (room, costs) in rooms.iter().zip(&mut costs) {
            stand.log_in().await?;
            let args = stand.args(&[*room])?;
            let summary = stompbench(options, stand.folder(), &[args, own.clone()].concat()).await?;
            costs.push(1e6 / summary.accepted_rate().max(f64::MIN_POSITIVE));
            notes.extend(faults("verbatim", &summary));
            let each = 1e6 * summary.server_cpu_seconds / (summary.accepted.max(1)) as f64;
            notes.push(format!("run {run}: {each:.0} us of processor time each"));
        }
    }
    stand.stop().await?;
    let [large, small] = costs;
    Ok(Figure {
        name: "send to 10,000 members".to_owned(),
        unit: "us each",
        runs: large,
        comparison: Some(("10 members", small)),
        target: Target::RatioAtMost(1.3),
        command: format!("stompbench {load}"),
        notes,
    })
}
