//! The file of the audit log, written by a thread of its own and reopened after it was moved.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::event::AuditRecord;
use kernel::{
    clock::{Clock, OncePerSecond},
    files::regular,
    log_queue::LogQueue,
};

/// The queue of lines to a file.
#[derive(Debug)]
pub(super) struct AuditFile {
    queue: LogQueue,
    moved: Arc<AtomicBool>,
}

impl AuditFile {
    /// Opens the file, or creates it with access for its owner only.
    ///
    /// # Errors
    /// If it cannot be opened, is no regular file, or there is no thread to write it.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let moved = Arc::new(AtomicBool::new(false));
        let appender = Appender::open(path.to_owned(), Arc::clone(&moved), clock)?;
        Ok(Self {
            queue: LogQueue::start("audit-log", appender)?,
            moved,
        })
    }

    /// Queues a line. If lines come faster than they are written, it is dropped and counted.
    pub(super) fn write(&self, record: &AuditRecord<'_>) {
        // Cannot fail for these fields; a panic in an audit line must not end a call.
        let Ok(mut line) = serde_json::to_vec(record) else {
            return;
        };
        line.push(b'\n');
        self.queue.push(&line);
    }

    /// Reopens the file before the next line.
    pub(super) fn reopen(&self) {
        // Release pairs with the swap of the writer's thread: the file was moved before this was
        // called.
        self.moved.store(true, Ordering::Release);
    }

    pub(super) fn flush(&self, limit: Duration) {
        self.queue.flush(limit);
    }

    pub(super) fn lost(&self) -> u64 {
        self.queue.dropped()
    }
}

/// Appends lines. Errors are logged once a second, and the next lines are tried again.
struct Appender {
    path: PathBuf,
    file: File,
    /// Whether the file ends within a line, which the next one must not be taken for a part of.
    is_torn: bool,
    moved: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    errors: OncePerSecond,
}

impl Appender {
    fn open(path: PathBuf, moved: Arc<AtomicBool>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = regular::open_to_append(&path)?;
        let is_torn = !ends_with_line(&file)?;
        Ok(Self {
            path,
            file,
            is_torn,
            moved,
            clock,
            errors: OncePerSecond::default(),
        })
    }

    /// Reopens the file if that was requested. If that fails, the open file stays in use, and the
    /// next lines try again.
    fn reopen_if_moved(&mut self) {
        // Cleared before the file is opened, so that a second request meanwhile is not lost.
        if !self.moved.swap(false, Ordering::AcqRel) {
            return;
        }
        let reopened =
            regular::open_to_append(&self.path).and_then(|file| Ok((ends_with_line(&file)?, file)));
        match reopened {
            Ok((is_whole, file)) => (self.file, self.is_torn) = (file, !is_whole),
            Err(error) => {
                self.moved.store(true, Ordering::Release);
                self.report(
                    &error,
                    "the audit log cannot be reopened; the open file stays in use",
                );
            }
        }
    }

    /// Ends a line that was cut short: the next one must stay readable by itself.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.is_torn {
            // Still torn after an error, so the next line tries again.
            (&self.file).write_all(b"\n")?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn report(&self, error: &io::Error, what: &str) {
        if let Some(times) = self.errors.due(self.clock.now_sec()) {
            tracing::error!(%error, times, file = %self.path.display(), "{what}");
        }
    }
}

impl Write for Appender {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.reopen_if_moved();
        let written = self
            .end_torn_line()
            .and_then(|()| (&self.file).write(lines));
        if let Err(error) = &written {
            // A partial write may have ended within a line.
            self.is_torn = !ends_with_line(&self.file).unwrap_or(false);
            self.report(
                error,
                "lines of the audit log are lost, because it cannot be written",
            );
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a file is empty or ends with the end of a line.
fn ends_with_line(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use tempfile::TempDir;

    use super::*;
    use domain::time::EpochSeconds;
    use kernel::clock::ManualClock;

    const SOON: Duration = Duration::from_secs(60);

    fn open(dir: &TempDir) -> AuditFile {
        AuditFile::open(
            &dir.path().join("audit"),
            Arc::new(ManualClock::at(EpochSeconds::new(7))),
        )
        .unwrap()
    }

    fn write(file: &AuditFile, event: &'static str) {
        file.write(&AuditRecord {
            event,
            ..AuditRecord::default()
        });
        file.flush(SOON);
    }

    fn text(dir: &TempDir, name: &str) -> String {
        fs::read_to_string(dir.path().join(name)).unwrap()
    }

    #[test]
    fn lines_are_appended_to_a_file_that_is_its_owners() {
        let dir = TempDir::new().unwrap();
        for _ in 0..2 {
            write(&open(&dir), "a");
        }
        assert_eq!(
            text(&dir, "audit"),
            "{\"event\":\"a\"}\n{\"event\":\"a\"}\n"
        );
        let mode = fs::metadata(dir.path().join("audit"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_moved_away_is_begun_anew_when_that_is_said() {
        let dir = TempDir::new().unwrap();
        let file = open(&dir);
        write(&file, "a");
        fs::rename(dir.path().join("audit"), dir.path().join("audit.1")).unwrap();
        write(&file, "b");
        file.reopen();
        write(&file, "c");
        assert_eq!(
            text(&dir, "audit.1"),
            "{\"event\":\"a\"}\n{\"event\":\"b\"}\n"
        );
        assert_eq!(text(&dir, "audit"), "{\"event\":\"c\"}\n");
        // If the file cannot be reopened, the open one stays in use and the next line tries again.
        fs::remove_file(dir.path().join("audit")).unwrap();
        fs::create_dir(dir.path().join("audit")).unwrap();
        file.reopen();
        write(&file, "d");
        fs::remove_dir(dir.path().join("audit")).unwrap();
        write(&file, "e");
        assert_eq!(
            (text(&dir, "audit"), file.lost()),
            ("{\"event\":\"e\"}\n".to_owned(), 0)
        );
    }

    #[test]
    fn a_line_that_was_cut_short_is_not_run_into() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("audit"), "{\"event\":\"cu").unwrap();
        write(&open(&dir), "a");
        assert_eq!(text(&dir, "audit"), "{\"event\":\"cu\n{\"event\":\"a\"}\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at(EpochSeconds::new(7)));
        let mut appender = Appender::open(dir.path().join("audit"), Arc::default(), clock).unwrap();
        // As a file that has become unwritable.
        appender.file = File::open(dir.path().join("audit")).unwrap();
        let file = AuditFile {
            queue: LogQueue::start("audit-log", appender).unwrap(),
            moved: Arc::default(),
        };
        write(&file, "a");
        write(&file, "b");
        assert_eq!((file.lost(), text(&dir, "audit")), (2, String::new()));
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("audit")).unwrap();
        let opened = AuditFile::open(&dir.path().join("audit"), Arc::new(ManualClock::default()));
        assert_eq!(
            opened.unwrap_err().to_string(),
            "it is a directory, and only regular files are written"
        );
    }
}
