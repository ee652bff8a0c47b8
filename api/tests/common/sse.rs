//! A client of event streams, to the letter of WHATWG HTML, section 9.2.6.

use super::within;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SseEvent {
    /// `event:`; `message` if there is none.
    pub kind: String,
    /// `id:`, if this event has one.
    pub id: Option<String>,
    /// `data:` as it came.
    pub data: String,
}

impl SseEvent {
    /// Its data as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An open stream.
#[derive(Debug)]
pub struct SseStream {
    /// The answer it came with.
    response: Response,
    /// What came and is not cut into lines yet.
    text: Vec<u8>,
    /// Comments that came.
    pub comments: usize,
    /// `retry:`, if it came.
    pub retry: Option<u64>,
    /// Id of the last event that had one: what a browser would resume with.
    pub last_id: Option<String>,
}

impl SseStream {
    /// Opens a stream.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = within("an event stream", request.send()).await.unwrap();
        let status = response.status();
        assert!(status == 200, "{status}: {}", response.text().await.unwrap());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: Vec::new(), comments: 0, retry: None, last_id: None }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            let chunk = self.response.chunk().await;
            match chunk {
                Ok(Some(bytes)) => self.text.extend_from_slice(&bytes),
                // A stream that breaks off is over as well.
                Ok(None) | Err(_) => {
                    assert!(
                        self.text.is_empty(),
                        "ends in the middle: {:?}",
                        String::from_utf8_lossy(&self.text)
                    );
                    return None;
                }
            }
        }
    }

    async fn read(&mut self) -> Option<SseEvent> {
        let mut event = SseEvent { kind: "message".to_owned(), ..SseEvent::default() };
        let mut data: Vec<String> = Vec::new();
        let mut begun = false;
        loop {
            let Some(line) = self.line().await else {
                assert!(!begun, "the stream ends inside an event: {event:?}");
                return None;
            };
            if line.is_empty() {
                if data.is_empty() {
                    begun = false;
                    continue;
                }
                event.data = data.join("\n");
                return Some(event);
            }
            if line.starts_with(':') {
                self.comments += 1;
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            begun = true;
            match field {
                "event" => event.kind = value,
                "data" => data.push(value),
                "id" => {
                    self.last_id = Some(value.clone());
                    event.id = Some(value);
                }
                "retry" => self.retry = Some(value.parse().unwrap()),
                _ => panic!("unknown field in {line:?}"),
            }
        }
    }

    /// The next event; `None` once the stream has ended.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<SseEvent>> {
        within("an event or the end of the stream", self.read())
    }

    /// The next event, which must be of this kind. People who came in just before one listened may still be announced:
    /// that is passed over.
    pub async fn expect(&mut self, kind: &str) -> SseEvent {
        loop {
            let event =
                self.next().await.unwrap_or_else(|| panic!("the stream has ended; {kind} was to come"));
            if event.kind == "member_joined" && kind != event.kind {
                continue;
            }
            assert_eq!(event.kind, kind, "{event:?}");
            return event;
        }
    }
}
