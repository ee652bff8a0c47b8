//! The command line of `stompbench`.

use crate::Error;
use clap::Parser;

/// Load generator for any STOMP-over-WebSocket server.
#[derive(Parser, Clone, Debug)]
pub struct Args {
    /// ws://127.0.0.1:15674/ws
    #[arg(long)]
    pub url: String,
    /// where publishers connect instead, in turn: one or more URLs, comma separated
    #[arg(long, value_delimiter = ',')]
    pub pub_url: Vec<String>,
    /// CONNECT headers `name:value`; {i} is the client's index. Repeatable.
    #[arg(long)]
    pub header: Vec<String>,
    /// File with one bearer token a line, used round robin as `Authorization:Bearer <token>` on CONNECT.
    #[arg(long)]
    pub tokens: Option<String>,
    /// SUBSCRIBE destination; {d} is the destination's id
    #[arg(long)]
    pub sub: String,
    /// SEND destination; {d} is the destination's id
    #[arg(long)]
    pub send: String,
    /// File with one destination id a line (else 0..D)
    #[arg(long)]
    pub ids: Option<String>,
    /// destinations
    #[arg(long, default_value_t = 1)]
    pub dests: usize,
    /// subscribers
    #[arg(long, default_value_t = 100)]
    pub subs: usize,
    /// publishers
    #[arg(long, default_value_t = 4)]
    pub pubs: usize,
    /// messages of all publishers together
    #[arg(long, default_value_t = 10000)]
    pub messages: usize,
    /// sends in flight per publisher that no RECEIPT has confirmed yet
    #[arg(long, default_value_t = 32)]
    pub window: usize,
    /// total messages a second (0 = as fast as the window lets)
    #[arg(long, default_value_t = 0)]
    pub rate: usize,
    /// body template; {m} is the marker and padding
    #[arg(long, default_value = "{\"message\":\"{m}\"}")]
    pub body: String,
    /// bytes of {m}
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// content-type header of each SEND
    #[arg(long, default_value = "application/json")]
    pub content_type: String,
    /// extra SEND headers `name:value`, e.g. persistent:true
    #[arg(long)]
    pub send_header: Vec<String>,
    /// server process id(s), comma separated, whose RSS and CPU are reported
    #[arg(long)]
    pub pid: Option<String>,
    /// only hold the connections this many seconds, report RSS, send nothing
    #[arg(long, default_value_t = 0)]
    pub hold: u64,
    /// seconds to wait for the last deliveries
    #[arg(long, default_value_t = 20)]
    pub drain: u64,
    /// `host` header of CONNECT
    #[arg(long, default_value = "host")]
    pub vhost: String,
    /// also write the summary as JSON to this file
    #[arg(long)]
    pub json: Option<String>,
}

impl Args {
    /// Refuses what cannot work, before anything is started.
    pub(super) fn check(&self) -> Result<(), Error> {
        let zero = |name: &str, value: usize| match value {
            0 => Err(Error::Setup(format!("--{name} must be at least 1"))),
            _ => Ok(()),
        };
        zero("dests", self.dests)?;
        zero("pubs", self.pubs)?;
        zero("window", self.window)?;
        self.send_header
            .iter()
            .chain(&self.header)
            .try_for_each(|header| super::split_header(header).map(drop))
    }

    /// The process ids of `--pid`.
    pub(super) fn pids(&self) -> Result<Vec<u32>, Error> {
        let parse = |text: &str| text.trim().parse().map_err(|_| Error::Setup(format!("--pid {text:?}")));
        self.pid.iter().flat_map(|list| list.split(',')).map(parse).collect()
    }

    /// Where a publisher connects.
    pub(super) fn publisher_url(&self, index: usize) -> &str {
        self.pub_url.get(index % self.pub_url.len().max(1)).unwrap_or(&self.url)
    }

    /// Messages of each publisher.
    pub(super) fn per_publisher(&self) -> usize {
        self.messages / self.pubs.max(1)
    }
}
