//! The first 100 bytes of an SQLite file (<https://www.sqlite.org/fileformat2.html>, section 1.3), read without SQLite,
//! so that nothing is touched.

use super::Problem;

/// Length of the header.
pub(super) const HEADER_LEN: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of a page.
    pub(super) page_size: u32,
    /// Pages in the file; `None` if the writer did not keep it up to date.
    pub(super) pages: Option<u32>,
    /// `PRAGMA user_version`: the number of the last migration.
    pub(super) user_version: u32,
    /// `PRAGMA application_id`
    pub(super) application_id: u32,
}

/// Big-endian number at `at`; 0 where there is nothing.
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

impl Header {
    /// Reads the header from the start of a file.
    pub(super) fn parse(start: &[u8]) -> Result<Self, Problem> {
        if start.is_empty() {
            return Err(Problem::Empty);
        }
        if !start.starts_with(MAGIC) {
            return Err(Problem::NotSqlite);
        }
        if start.len() < HEADER_LEN {
            return Err(Problem::Truncated { page: 1, pages: 1 });
        }
        let page_size = match be32(start, 16) >> 16 {
            1 => 65_536,
            size if size.is_power_of_two() && size >= 512 => size,
            size => return Err(Problem::Corrupted(format!("it claims pages of {size} bytes"))),
        };
        // The count holds only if it was written together with the change counter.
        let pages = (be32(start, 24) == be32(start, 92)).then(|| be32(start, 28)).filter(|n| *n > 0);
        Ok(Self { page_size, pages, user_version: be32(start, 60), application_id: be32(start, 68) })
    }
}
