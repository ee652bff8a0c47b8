//! A look into a `-wal` file and its index without SQLite, so that nothing is touched
//! (<https://www.sqlite.org/fileformat2.html> section 4, <https://www.sqlite.org/walformat.html> section 2).

use super::header::be32;
use crate::files::beside;
use std::{
    collections::HashSet,
    fs::File,
    io::{BufReader, Read},
    mem::ManuallyDrop,
    path::{Path, PathBuf},
};

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
const MAGIC: u32 = 0x377f_0682;
/// Length of one of the two copies of the index header.
const INDEX_HEADER_LEN: usize = 48;
/// Where its number of frames stands (`mxFrame`).
const INDEX_FRAMES_AT: u64 = 16;

/// What a `-wal` file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wal {
    /// Frames up to the last commit that is intact.
    pub(super) frames: u32,
    /// Pages of the database after that commit; 0 if there is none.
    pub(super) pages: u32,
    /// Which of them it holds.
    pub(super) holds: HashSet<u32>,
    /// The salt that all of its frames carry; `None` without an intact header.
    salt: Option<[u8; 8]>,
}

/// The running checksum of a WAL.
struct Checksum {
    little_endian: bool,
    sum: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut a, mut b) = self.sum;
        for pair in bytes.chunks_exact(8) {
            let word = |at: usize| {
                let be = be32(pair, at);
                if self.little_endian { be.swap_bytes() } else { be }
            };
            a = a.wrapping_add(word(0)).wrapping_add(b);
            b = b.wrapping_add(word(4)).wrapping_add(a);
        }
        self.sum = (a, b);
    }

    fn is(&self, bytes: &[u8], at: usize) -> bool {
        self.sum == (be32(bytes, at), be32(bytes, at + 4))
    }
}

impl Wal {
    /// Reads the file as a recovery would: up to the first frame that is not intact. No file is an empty WAL.
    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut wal = Self::default();
        let mut header = [0; HEADER_LEN];
        if !fill(&mut file, &mut header)? {
            return Ok(wal);
        }
        let (magic, page_size) = (be32(&header, 0), be32(&header, 8));
        let mut checksum = Checksum { little_endian: magic == MAGIC, sum: (0, 0) };
        let (summed, _) = header.split_at(24);
        checksum.add(summed);
        if magic | 1 != MAGIC | 1
            || !page_size.is_power_of_two()
            || page_size > 65_536
            || !checksum.is(&header, 24)
        {
            return Ok(wal);
        }
        let salt: [u8; 8] = std::array::from_fn(|i| header.get(16 + i).copied().unwrap_or_default());
        wal.salt = Some(salt);
        let mut frame = vec![0; FRAME_HEADER_LEN + page_size as usize];
        let (mut count, mut since_commit) = (0, Vec::new());
        while fill(&mut file, &mut frame)? {
            let (head, page) = frame.split_at(FRAME_HEADER_LEN);
            let (summed, rest) = head.split_at(8);
            checksum.add(summed);
            checksum.add(page);
            if !rest.starts_with(&salt) || !checksum.is(head, 16) {
                break;
            }
            count += 1;
            since_commit.push(be32(head, 0));
            let pages = be32(head, 4);
            if pages > 0 {
                wal.holds.extend(since_commit.drain(..));
                (wal.frames, wal.pages) = (count, pages);
            }
        }
        Ok(wal)
    }

    /// How many frames the index (the `-shm` file) says were committed, if it is about this WAL. A frame is in the index
    /// only once it is synced to disk, so a WAL with fewer has lost some, whatever crash came between. An index that is
    /// older than the WAL, as a power failure may leave it, has another salt or a lower count.
    pub(super) fn committed(&self, index: &Path) -> std::io::Result<Option<u32>> {
        let mut file = match File::open(index) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut both = [0; 2 * INDEX_HEADER_LEN];
        if !fill(&mut file, &mut both)? {
            return Ok(None);
        }
        let (one, two) = both.split_at(INDEX_HEADER_LEN);
        let (summed, _) = one.split_at(40);
        // The index is in the byte order of the machine; ours all are little-endian.
        let mut checksum = Checksum { little_endian: true, sum: (0, 0) };
        checksum.add(summed);
        let sum = (be32(one, 40).swap_bytes(), be32(one, 44).swap_bytes());
        let initialised = one.get(12) == Some(&1);
        let same_wal = self.salt.is_some_and(|salt| one.get(32..40) == Some(&salt));
        Ok((one == two && checksum.sum == sum && initialised && same_wal).then(|| be32(one, 16).swap_bytes()))
    }
}

/// Watches how many frames the WAL of a database has that is open in this process.
#[derive(Debug)]
pub(crate) struct WalFrames {
    index: PathBuf,
    /// Never closed: that would drop the locks which SQLite has on this file for the whole process
    /// (<https://www.sqlite.org/howtocorrupt.html> section 2.2).
    file: Option<ManuallyDrop<File>>,
}

impl WalFrames {
    pub(crate) fn of(database: &Path) -> Self {
        Self { index: beside(database, "-shm"), file: None }
    }

    /// Frames up to the last commit; 0 when that can't be read. The file is memory that SQLite shares between
    /// processes: reading it is reading a page of the kernel's cache.
    pub(crate) fn get(&mut self) -> u32 {
        use std::os::unix::fs::FileExt;
        if self.file.is_none() {
            self.file = File::open(&self.index).ok().map(ManuallyDrop::new);
        }
        let mut frames = [0; 4];
        let read = self.file.as_ref().map(|file| file.read_exact_at(&mut frames, INDEX_FRAMES_AT));
        if matches!(read, Some(Ok(()))) { u32::from_ne_bytes(frames) } else { 0 }
    }
}

/// Fills `buffer`; `false` when the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
