//! Load and truth from the outside: everything here talks to a running `verbatim` over its public doors only
//! (REST, STOMP over WebSocket, SSE, the command line) and imports no server crate, so that a mistake in the server
//! cannot hide in code that both sides share.
//!
//! * [`stomp`], [`http`] and [`process`] are small clients and process handling.
//! * [`stompbench`] is a load generator for any STOMP-over-WebSocket server; `limitserver` is its yardstick.
//! * [`cluster`] starts several nodes with the servers behind them and nginx in front.
//! * [`mod@bench`] runs the scenarios of `make bench` against both and compares.
//! * [`oracle`] drives the server through crashes and says afterwards what was lost, doubled, reordered or miscounted.

pub mod bench;
pub mod cluster;
pub mod error;
pub mod http;
pub mod ids;
pub mod oracle;
pub mod process;
pub mod stomp;
pub mod stompbench;

pub use error::Error;
