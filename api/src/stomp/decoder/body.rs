//! Reading bodies: as long as `content-length` says, or up to the first NUL.

use bytes::Bytes;

use super::{Decoder, State};
use crate::stomp::decode_error::DecodeError;

/// Surrogate pairs that a client may have torn in one body: a body of [`MAX_BODY`](super::MAX_BODY) is cut at most
/// this often into the parts of 8 Ki UTF-16 units and more that clients send.
const MAX_TORN_PAIRS: usize = 8;
/// U+FFFD, which stands for half a surrogate pair.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

impl Decoder {
    pub(super) fn sized_body(
        &mut self,
        input: &mut &[u8],
        size: usize,
    ) -> Result<Option<Bytes>, DecodeError> {
        let missing = size.saturating_sub(self.body.len());
        let Some((part, rest)) = input.split_at_checked(missing) else {
            grow(&mut self.body, input, size);
            *input = &[];
            return Ok(None);
        };
        match rest.first() {
            Some(0) => {}
            Some(_) => {
                grow(&mut self.body, part, size);
                *input = rest;
                // Of a pair torn at its end, the announced size covers the first three octets at least.
                if memchr::memmem::find(&self.body, REPLACEMENT).is_none() {
                    return Err(DecodeError::BodyNotTerminated { content_length: size });
                }
                self.state = State::Torn(size);
                return Ok(None);
            }
            None => {
                grow(&mut self.body, part, size);
                *input = rest;
                return Ok(None);
            }
        }
        super::take(input, missing + 1);
        Ok(Some(self.join_body(part)))
    }

    /// webstomp-client and stompjs cut long frames between UTF-16 units and send each part as text. Where the cut
    /// falls inside a surrogate pair, the browser sends U+FFFD for each half: six octets in place of the four that
    /// `content-length` counted. The character is lost, the frame need not be: it ends two octets later for each
    /// pair of U+FFFD. Every other mismatch is an error.
    pub(super) fn torn_body(&mut self, input: &mut &[u8], size: usize) -> Result<Option<Bytes>, DecodeError> {
        let mismatch = DecodeError::BodyNotTerminated { content_length: size };
        let most = size + 2 * MAX_TORN_PAIRS;
        let end = memchr::memchr(0, input);
        let part = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        if self.body.len() + part.len() > most {
            return Err(mismatch);
        }
        grow(&mut self.body, part, most);
        super::take(input, part.len() + usize::from(end.is_some()));
        if end.is_none() {
            return Ok(None);
        }
        let pairs = memchr::memmem::find_iter(&self.body, &[REPLACEMENT, REPLACEMENT].concat()).count();
        let excess = self.body.len() - size;
        if !excess.is_multiple_of(2) || excess / 2 > pairs {
            return Err(mismatch);
        }
        Ok(Some(Bytes::from(std::mem::take(&mut self.body))))
    }

    pub(super) fn body_until_nul(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, DecodeError> {
        let end = memchr::memchr(0, input);
        let part = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        if self.body.len() + part.len() > self.limits.body {
            return Err(DecodeError::BodyTooLong { max: self.limits.body });
        }
        if end.is_none() {
            grow(&mut self.body, part, self.limits.body);
            *input = &[];
            return Ok(None);
        }
        super::take(input, part.len() + 1);
        Ok(Some(self.join_body(part)))
    }

    /// The body that ends with `part`, in memory of its own: a slice of the input would keep all of the input alive
    /// for as long as a transaction holds the frame.
    fn join_body(&mut self, part: &[u8]) -> Bytes {
        if self.body.is_empty() {
            return Bytes::copy_from_slice(part);
        }
        let mut body = std::mem::take(&mut self.body);
        body.reserve_exact(part.len());
        body.extend_from_slice(part);
        Bytes::from(body)
    }
}

/// Appends, doubling the capacity as a Vec does, yet never beyond `max`: a peer that announces much and sends
/// little costs little.
pub(super) fn grow(buffer: &mut Vec<u8>, part: &[u8], max: usize) {
    let needed = buffer.len() + part.len();
    if needed > buffer.capacity() {
        let target = needed.max(buffer.capacity().saturating_mul(2).min(max));
        buffer.reserve_exact(target - buffer.len());
    }
    buffer.extend_from_slice(part);
}
