//! How large a frame may be.

/// Default for [`Limits::headers`].
pub const MAX_HEADERS: usize = 64;
/// Default for [`Limits::header_line`], in octets.
pub const MAX_HEADER_LINE: usize = 8 * 1024;
/// Default for [`Limits::head`], in octets.
pub const MAX_HEAD: usize = 16 * 1024;
/// Default for [`Limits::body`], in octets.
pub const MAX_BODY: usize = 64 * 1024;

/// What one frame may at most consist of (1.2, Size Limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Header entries.
    pub headers: usize,
    /// Octets of one header line, without its line end.
    pub header_line: usize,
    /// Octets of command and headers with their line ends.
    pub head: usize,
    /// Octets of body.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers: MAX_HEADERS, header_line: MAX_HEADER_LINE, head: MAX_HEAD, body: MAX_BODY }
    }
}
