//! Requests that no HTTP library would send.

use super::LIMIT;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Most of an answer that is read, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// How long a server that keeps a connection open may be silent before what it said counts as all.
const SILENCE: Duration = Duration::from_secs(2);

/// Sends bytes to the server at `base` and gives back what it says until it closes or falls silent; empty if it just
/// closes.
pub async fn raw(base: &str, bytes: &[u8]) -> String {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = timeout(LIMIT, TcpStream::connect(address)).await.unwrap().unwrap();
    // A server may answer and close before it has taken all: what it said counts. The end of the sending side tells one
    // that waits for more that there is none.
    let _ = timeout(LIMIT, stream.write_all(bytes)).await.unwrap();
    let _ = timeout(LIMIT, stream.shutdown()).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < ANSWER_MAX {
        let limit = if answer.is_empty() { LIMIT } else { SILENCE };
        match timeout(limit, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => break,
            Ok(Ok(read)) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
