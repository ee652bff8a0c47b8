//! A log file that is put aside when it is full: `verbatim.log`, then `verbatim.log.1`, `.2` and so on, the oldest last, as
//! logrotate names them; a bounded number is kept. By size and not by day (which is what tracing-appender does): a bound
//! on the disk is what an operator needs, and a busy day has no bound.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A log file, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The file that is written to.
    pub path: PathBuf,
    /// Most bytes of one file; a single longer line gets a file of its own.
    pub bytes_max: u64,
    /// Most files, the one that is written to included.
    pub files_max: u32,
}

pub(super) struct Rolling {
    settings: LogFile,
    file: File,
    written: u64,
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).append(true).open(path)?;
    let written = file.metadata()?.len();
    Ok((file, written))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

/// A file that is not there need not be moved.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Rolling {
    pub(super) fn open(settings: LogFile) -> io::Result<Self> {
        let (file, written) = open(&settings.path)?;
        Ok(Self { settings, file, written })
    }

    fn roll(&mut self) -> io::Result<()> {
        let LogFile { path, files_max, .. } = &self.settings;
        if *files_max <= 1 {
            self.file.set_len(0)?;
        } else {
            for number in (1..*files_max - 1).rev() {
                rename(&numbered(path, number), &numbered(path, number + 1))?;
            }
            rename(path, &numbered(path, 1))?;
        }
        (self.file, self.written) = open(path)?;
        Ok(())
    }

    /// How much of `lines` still goes into this file: whole lines.
    fn fitting(&self, lines: &[u8]) -> usize {
        let room =
            usize::try_from(self.settings.bytes_max.saturating_sub(self.written)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines.len();
        }
        let fits = lines.get(..room).and_then(|some| some.iter().rposition(|byte| *byte == b'\n'));
        match fits {
            Some(end) => end + 1,
            // A line longer than a whole file.
            None if self.written == 0 => {
                lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1)
            }
            None => 0,
        }
    }
}

impl Write for Rolling {
    /// Takes whole lines; writes some of them.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut fitting = self.fitting(lines);
        if fitting == 0 && !lines.is_empty() {
            self.roll()?;
            fitting = self.fitting(lines);
        }
        if let Err(error) = self.file.write_all(lines.get(..fitting).unwrap_or(lines)) {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(self.written);
            return Err(error);
        }
        self.written += fitting as u64;
        Ok(fitting)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn rolling(folder: &Path, files_max: u32) -> Rolling {
        Rolling::open(LogFile { path: folder.join("log"), bytes_max: 8, files_max }).unwrap()
    }

    fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn files_are_full_of_whole_lines_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 3);
        log.write_all(b"aaa\nbbb\nccc\nddd\neee\n").unwrap();
        log.write_all(b"fff\n").unwrap();
        let all = [("log", "eee\nfff\n"), ("log.1", "ccc\nddd\n"), ("log.2", "aaa\nbbb\n")];
        assert_eq!(files(folder.path()), named(&all));
        log.write_all(b"g\n").unwrap();
        let all = [("log", "g\n"), ("log.1", "eee\nfff\n"), ("log.2", "ccc\nddd\n")];
        assert_eq!(files(folder.path()), named(&all));
    }

    #[test]
    fn it_goes_on_where_it_was_and_a_long_line_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        rolling(folder.path(), 2).write_all(b"aaa\n").unwrap();
        let mut log = rolling(folder.path(), 2);
        log.write_all(b"bbb\n").unwrap();
        assert_eq!(files(folder.path()), named(&[("log", "aaa\nbbb\n")]));
        log.write_all(b"a line too long\nccc\n").unwrap();
        assert_eq!(files(folder.path()), named(&[("log", "ccc\n"), ("log.1", "a line too long\n")]));
    }

    #[test]
    fn a_single_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rolling(folder.path(), 1);
        log.write_all(b"aaa\nbbb\nccc\n").unwrap();
        assert_eq!(files(folder.path()), named(&[("log", "ccc\n")]));
    }
}
