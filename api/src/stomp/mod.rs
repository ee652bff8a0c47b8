//! STOMP 1.0, 1.1 and 1.2 without any I/O: octets in, typed actions out, octets back.
//!
//! The WebSocket side owns sockets, timers and authorization; this module owns the protocol, so that each rule of
//! the specification can be tested and fuzzed without a network. One connection uses the parts like this:
//!
//! 1. [`negotiate::choose_subprotocol`] at the WebSocket handshake;
//! 2. [`Decoder::decode`] on every received chunk until it returns `None`, whatever the cut between chunks;
//! 3. [`Session::handle`] on every frame; its [`Action`] says what to do, then what receipt to send;
//! 4. [`encoder`] for what goes back.
//!
//! "1.2, Value Encoding" in a comment means that section of <https://stomp.github.io/stomp-specification-1.2.html>;
//! 1.1 and 1.0 likewise.

pub mod decode_error;
pub mod decoder;
pub mod encoder;
pub mod escape;
pub mod frame;
pub mod headers;
pub mod message;
pub mod negotiate;
#[cfg(test)]
mod properties;
pub mod session;

pub use decode_error::DecodeError;
pub use decoder::{Decoder, Item, Limits};
pub use frame::{Command, Frame, Version};
pub use headers::Headers;
pub use message::{Message, MessageTemplate};
pub use negotiate::{HeartBeat, HeartBeatPolicy};
pub use session::{Action, ProtocolError, Session, Violation};
