//! Commands over STOMP: each with a receipt, several in flight, and for each one what became of it.

use super::world::World;
use crate::http::CallError;
use crate::ids::MessageId;
use crate::stomp::{Connection, Frame, describe};
use std::collections::BTreeMap;

/// A client's command connection; opened when needed, dropped after anything odd.
#[derive(Debug, Default)]
pub(super) struct Session {
    connection: Option<Connection>,
    receipts: u64,
}

impl Session {
    /// Sends all frames, then waits for their receipts. The answers are in the order of the frames.
    pub(super) async fn commands(
        &mut self,
        world: &World,
        token: &str,
        frames: Vec<Frame>,
    ) -> Vec<Result<Frame, CallError>> {
        let count = frames.len();
        let mut answers: BTreeMap<String, Result<Frame, CallError>> = BTreeMap::new();
        let mut ids = Vec::with_capacity(count);
        let failure = self.exchange(world, token, frames, &mut ids, &mut answers).await.err();
        if failure.is_some() {
            self.connection = None;
        }
        let why = failure.unwrap_or_else(|| "no receipt".to_owned());
        let mut answer =
            |id: &String| answers.remove(id).unwrap_or_else(|| Err(CallError::Unknown(why.clone())));
        let mut out: Vec<_> = ids.iter().map(&mut answer).collect();
        out.resize_with(count, || Err(CallError::Unknown(why.clone())));
        out
    }

    async fn exchange(
        &mut self,
        world: &World,
        token: &str,
        frames: Vec<Frame>,
        ids: &mut Vec<String>,
        answers: &mut BTreeMap<String, Result<Frame, CallError>>,
    ) -> Result<(), String> {
        let limit = world.config.call_limit;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let opened = Connection::open_as(&world.launch.ws(), token, limit).await;
                none.insert(opened.map_err(|error| error.to_string())?)
            }
        };
        for frame in frames {
            self.receipts += 1;
            let id = format!("r{}", self.receipts);
            ids.push(id.clone());
            connection.send(&frame.with("receipt", id)).await.map_err(|error| error.to_string())?;
        }
        while answers.len() < ids.len() {
            let frame = connection.next_within(limit).await.map_err(|error| error.to_string())?;
            let id = frame.header("receipt-id").unwrap_or_default().to_owned();
            match frame.command.as_str() {
                "RECEIPT" => drop(answers.insert(id, Ok(frame))),
                "ERROR" => {
                    let why = describe(&frame);
                    answers.insert(id, Err(refusal(&frame)));
                    // The server may close after an ERROR; what is still open is asked again on a new connection.
                    return Err(why);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An ERROR carries problem+json; its status tells a refusal from an outcome that nobody knows.
fn refusal(frame: &Frame) -> CallError {
    let problem: serde_json::Value = serde_json::from_slice(&frame.body).unwrap_or_default();
    match problem.get("status").and_then(serde_json::Value::as_u64) {
        Some(status @ 400..=499) if status != 408 && status != 429 => {
            CallError::Refused { status: u16::try_from(status).unwrap_or_default(), detail: describe(frame) }
        }
        _ => CallError::Unknown(describe(frame)),
    }
}

/// Number and id that the RECEIPT of a SEND carries.
pub(super) fn acknowledgement(receipt: &Frame) -> Result<(u64, MessageId), CallError> {
    let seq = receipt.number("seq");
    let id = receipt.header("message-id").and_then(|id| id.parse().ok()).map(MessageId);
    seq.zip(id)
        .ok_or_else(|| CallError::Malformed(format!("RECEIPT without seq and message-id: {receipt:?}")))
}
