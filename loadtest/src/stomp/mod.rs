//! A STOMP 1.2 client of our own, small enough to be checked by eye: the generator must not share a codec with the
//! server that it checks.

pub mod client;
mod decoder;
mod frame;

pub use client::{Connection, describe, message};
pub use decoder::{DecodeError, Decoder, MAX_FRAME_BYTES, MAX_HEADERS};
pub use frame::Frame;
