//! Any octets, cut anywhere, give what they give in one piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use verbatim_api_fuzz::stomp::{DecodeError, Decoder, Item, Limits, Version};

const LIMITS: Limits = Limits { headers: 8, header_line: 64, head: 160, body: 64 };
/// Head and body, what a growing buffer may have spare, and the table of header ends.
const MOST_BUFFERED: usize = 2 * (160 + 64 + 16) + 64 + 8 * 32;

fn decode(mut decoder: Decoder, stream: &[u8], step: usize) -> (Vec<Item>, Option<DecodeError>) {
    let mut items = Vec::new();
    for mut piece in stream.chunks(step) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
        assert!(piece.is_empty());
        assert!(decoder.buffered() <= MOST_BUFFERED, "{} octets held", decoder.buffered());
    }
    (items, None)
}

fuzz_target!(|data: &[u8]| {
    let [mode, step, stream @ ..] = data else { return };
    let decoder = || {
        let mut decoder =
            if mode & 4 == 0 { Decoder::new(LIMITS) } else { Decoder::for_server_frames(LIMITS) };
        match mode & 3 {
            1 => decoder.set_version(Version::V1_0),
            2 => decoder.set_version(Version::V1_1),
            3 => decoder.set_version(Version::V1_2),
            _ => {}
        }
        decoder
    };
    let whole = decode(decoder(), stream, stream.len().max(1));
    assert_eq!(decode(decoder(), stream, 1), whole);
    assert_eq!(decode(decoder(), stream, usize::from(*step).max(1)), whole);
});
