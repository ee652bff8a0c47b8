//! Made-up conversations in the format of `verbatim import`: one JSON object a line.

use crate::Error;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Messages of the chitchat corpus (PyPI `chitchat-dataset` 0.9.0).
pub(super) const CORPUS_MESSAGES: u64 = 258_145;
/// Its conversations, about.
pub(super) const CORPUS_ROOMS: u64 = 7_168;
/// Its people, about.
pub(super) const CORPUS_SENDERS: u64 = 8_000;

/// Days of January that are used for `sent_at`, one message a second, then from the start again.
const DAYS: u64 = 28;
const DAY_SECONDS: u64 = 86_400;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    room: &'a str,
    sender: &'a str,
    body: &'a str,
    sent_at: &'a str,
}

/// Who says what where, by the number of the message.
pub(super) struct Talk {
    pub(super) messages: u64,
    pub(super) room: fn(u64) -> String,
    pub(super) sender: fn(u64) -> String,
}

/// Writes the talks one after the other.
pub(super) fn write(path: &Path, talks: &[Talk]) -> Result<(), Error> {
    let failed = || Error::io(path.display().to_string());
    let mut file = BufWriter::new(File::create(path).map_err(failed())?);
    for talk in talks {
        for number in 0..talk.messages {
            let body = format!("Message {number}: about as long as what people tend to say to each other.");
            let (room, sender, sent_at) = ((talk.room)(number), (talk.sender)(number), time(number));
            let line = Line { room: &room, sender: &sender, body: &body, sent_at: &sent_at };
            let mut text = serde_json::to_vec(&line).map_err(|error| Error::Setup(error.to_string()))?;
            text.push(b'\n');
            file.write_all(&text).map_err(failed())?;
        }
    }
    file.flush().map_err(failed())
}

/// Conversations one after another, two people in each, in the number and shape of the corpus, or a part of it.
pub(super) fn corpus(messages: u64) -> Talk {
    const LENGTH: u64 = CORPUS_MESSAGES / CORPUS_ROOMS;
    Talk {
        messages,
        room: |number| format!("Conversation {}", number / LENGTH),
        sender: |number| format!("person-{}", (2 * (number / LENGTH) + number % 2) % CORPUS_SENDERS),
    }
}

fn time(number: u64) -> String {
    let second = number % (DAYS * DAY_SECONDS);
    let (day, rest) = (1 + second / DAY_SECONDS, second % DAY_SECONDS);
    format!("2020-01-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_valid_and_ascend() {
        assert_eq!(time(0), "2020-01-01T00:00:00Z");
        assert_eq!(time(86_399 + 3_600), "2020-01-02T00:59:59Z");
        assert_eq!(time(DAYS * DAY_SECONDS - 1), "2020-01-28T23:59:59Z");
    }

    #[test]
    fn each_line_is_an_object_and_two_people_talk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ndjson");
        write(&path, &[corpus(100)]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 100);
        assert_eq!(lines[0]["room"], lines[35]["room"]);
        assert_ne!(lines[0]["room"], lines[36]["room"]);
        assert_ne!(lines[0]["sender"], lines[1]["sender"]);
        assert_eq!(lines[0]["sender"], lines[2]["sender"]);
    }
}
