//! A log of a million events: paging far back, folding anew, starting up; and how fast it got there.

use super::Outcome;
use super::figure::{Figure, Target, median};
use super::imports::{self, CORPUS_MESSAGES, Talk};
use super::options::{Options, Scenario};
use super::setup::{Stand, fresh_folder};
use crate::Error;
use crate::http::{Room, SeqPage};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

/// An import or a rebuild may take this long.
const LIMIT: Duration = Duration::from_secs(1800);
/// Depths that are compared, in messages from the room's end.
const SHALLOW: u64 = 1_000;
/// Messages of a page.
const PAGE: u32 = 50;
/// Pages that are read at each depth, in turn.
const PAGES: u64 = 300;
const ROOM: &str = "Deep";

/// Imports the corpus, or conversations like it, into an empty log.
pub(super) async fn corpus(options: &Options, say: &mut impl FnMut(String)) -> Result<Figure, Error> {
    let mut runs = Vec::new();
    let mut messages = 0;
    for _ in 0..options.repeat {
        let stand = Stand::new(options, fresh_folder(options)?)?;
        let made_up = stand.folder().join("corpus.ndjson");
        let file = match &options.corpus {
            Some(file) => {
                let lines = BufReader::new(std::fs::File::open(file).map_err(Error::io("--corpus"))?).lines();
                messages = lines.count() as u64;
                file
            }
            None => {
                messages = options.amount(usize::try_from(CORPUS_MESSAGES).unwrap_or(usize::MAX)) as u64;
                imports::write(&made_up, &[imports::corpus(messages)])?;
                &made_up
            }
        };
        let (_, took) = stand.cli(&["import", &file.display().to_string()], LIMIT).await?;
        runs.push(messages as f64 / took.as_secs_f64());
        say(format!("import: {messages} messages in {:.1} s", took.as_secs_f64()));
    }
    Ok(Figure {
        name: "import of the corpus".to_owned(),
        unit: "messages/s",
        runs,
        comparison: None,
        target: Target::AtLeast(10_000.0),
        command: "verbatim import corpus.ndjson".to_owned(),
        notes: vec![format!("{messages} messages, start of the process included")],
    })
}

/// The scenarios on a long log that are chosen.
pub(super) async fn run(
    options: &Options,
    outcome: &mut Outcome,
    say: &mut impl FnMut(String),
) -> Result<(), Error> {
    let mut stand = Stand::new(options, fresh_folder(options)?)?;
    let file = stand.folder().join("deep.ndjson");
    // The deepest page still has whole pages before it.
    let messages = options.events + u64::from(PAGE) * 2;
    let sender: fn(u64) -> String = |number| format!("person-{}", number % 50);
    imports::write(&file, &[Talk { messages, room: |_| ROOM.to_owned(), sender }])?;
    say(format!("importing {messages} messages into one room"));
    let (_, took) = stand.cli(&["import", &file.display().to_string()], LIMIT).await?;
    say(format!("that was {:.0} messages/s", messages as f64 / took.as_secs_f64()));
    stand.start().await?;
    if options.chosen(Scenario::History) {
        outcome.add("history", history(options, &mut stand).await);
    }
    if options.chosen(Scenario::Rebuild) {
        outcome.add("rebuild", rebuild(&stand, messages).await);
    }
    if options.chosen(Scenario::Startup) {
        outcome.add("startup", startup(options, &mut stand, messages).await);
    }
    stand.stop().await
}

async fn history(options: &Options, stand: &mut Stand) -> Result<Figure, Error> {
    stand.register(1).await?;
    let Room { room_id, last_seq, .. } = stand.find_room(ROOM).await?;
    stand.join(&[room_id]).await?;
    let token = stand.token().await?;
    let depths = [options.events, SHALLOW];
    let mut micros = [Vec::new(), Vec::new()];
    for page in 0..PAGES {
        for (depth, micros) in depths.iter().zip(&mut micros) {
            // A little further each time, so that not one page alone is asked for from a cache.
            let before = (last_seq + 1 + u64::from(PAGE) + page % u64::from(PAGE)).saturating_sub(*depth);
            let began = Instant::now();
            let items = stand.api.history(&token, room_id, SeqPage::Before(before), PAGE, 0).await?.items;
            micros.push(began.elapsed().as_secs_f64() * 1e6);
            if items.len() != PAGE as usize || items.last().map(|message| message.seq + 1) != Some(before) {
                return Err(Error::Protocol(format!(
                    "the page before #{before} has {} messages",
                    items.len()
                )));
            }
        }
    }
    let [deep, shallow] = micros.map(|all| vec![median(&all)]);
    Ok(Figure {
        name: format!("history page at depth {}", options.events),
        unit: "us, median",
        runs: deep,
        comparison: Some(("depth 1,000", shallow)),
        target: Target::RatioAtMost(1.3),
        command: format!(
            "GET /api/v1/rooms/ROOM/messages?before=SEQ&limit={PAGE}, {PAGES} times at each depth"
        ),
        notes: Vec::new(),
    })
}

async fn rebuild(stand: &Stand, messages: u64) -> Result<Figure, Error> {
    let (_, took) = stand.cli(&["projections", "rebuild", "--all"], LIMIT).await?;
    Ok(Figure {
        name: "rebuild of all projections".to_owned(),
        unit: "events/s",
        runs: vec![messages as f64 / took.as_secs_f64()],
        comparison: None,
        target: Target::AtLeast(50_000.0),
        command: "verbatim projections rebuild --all".to_owned(),
        notes: vec![format!(
            "{messages} messages (the log has a few more events) into every projection in {:.1} s, the server running",
            took.as_secs_f64()
        )],
    })
}

async fn startup(options: &Options, stand: &mut Stand, messages: u64) -> Result<Figure, Error> {
    let mut runs = Vec::new();
    for _ in 0..options.repeat {
        stand.stop().await?;
        runs.push(stand.start().await?.as_secs_f64());
    }
    Ok(Figure {
        name: "start-up with a long log".to_owned(),
        unit: "s until ready",
        runs,
        comparison: None,
        target: Target::AtMost(2.0),
        command: "verbatim serve, then GET /health/ready until 200".to_owned(),
        notes: vec![format!("{messages} messages in the log")],
    })
}
