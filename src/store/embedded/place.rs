//! The place of a store in the file system: made, kept from others, and watched to stay where it is.
//!
//! Orders have names and addresses of people in them. So directories are made for their owner only, and
//! what lies in the store is taken from everybody else, whatever the umask was. A directory that holds
//! other things, too, is left as it is, because they may be for others.

use std::{
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{JOURNAL, MARK, kept::entries};

/// Rights of the owner to a directory.
const OWNER_ONLY: u32 = 0o700;

/// Rights of everybody else.
const OTHERS: u32 = 0o077;

/// What a directory may hold beside the store and still be the store's: file systems put it at their root.
const NOBODYS: &str = "lost+found";

/// How often it is looked whether the files are where they were.
const LOOK: Duration = Duration::from_secs(1);

/// Makes the directory of a store, for its owner only, with those above it that are missing.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = above(dir).take_while(|dir| !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match DirBuilder::new().mode(OWNER_ONLY).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    Ok(())
}

/// Syncs the directories above one in which a store is begun: somebody may have made them a moment ago,
/// and a store that is on disk is of no use where the way to it is not. Who may not read one of them has
/// not made it.
pub(super) fn sync_way_to(dir: &Path) {
    for dir in above(dir).skip(1).chain([Path::new(".")]) {
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
}

/// A directory and those above it, as far as its path names them.
fn above(dir: &Path) -> impl Iterator<Item = &Path> {
    dir.ancestors().filter(|dir| !dir.as_os_str().is_empty())
}

/// Takes the store from everybody but its owner, and its directory, too, if nothing else is in there.
pub(super) fn keep_from_others(dir: &Path, home: &Path) -> io::Result<()> {
    take_from_others(&dir.join(MARK))?;
    take_from_others(home)?;
    let ours = home
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut is_shared = false;
    for entry in entries(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        is_shared |= name != MARK && name != NOBODYS && !name.starts_with(&ours);
    }
    let mode = fs::metadata(dir)?.mode();
    if is_shared && mode & OTHERS != 0 {
        tracing::warn!(
            directory = %dir.display(),
            "the directory of the store holds other files and is open to other users: only what is in the \
             store is kept from them"
        );
        return Ok(());
    }
    set_owner_only(dir, mode)
}

/// Takes a file, or a directory with all that is in it, from everybody but its owner.
fn take_from_others(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in entries(path)? {
            match take_from_others(&entry?.path()) {
                // The engine removes files in the background.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                taken => taken?,
            }
        }
    }
    if metadata.is_symlink() {
        Ok(())
    } else {
        set_owner_only(path, metadata.mode())
    }
}

fn set_owner_only(path: &Path, mode: u32) -> io::Result<()> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        // On a volume that belongs to somebody else there is nothing to be done about it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "others may read this, and its mode cannot be changed");
            Ok(())
        }
        set => set,
    }
}

/// Whether something is in a directory of this name.
pub(super) fn is_filled(dir: &Path) -> bool {
    entries(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// Which file it is, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl From<Metadata> for FileId {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The files of an open store, by their names.
#[derive(Debug)]
pub(super) struct Links {
    mark: PathBuf,
    home: PathBuf,
    seen: Seen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    mark: FileId,
    home: FileId,
    /// The number of the last journal, which is the one that is written to, and its file.
    journal: (u64, FileId),
}

impl Links {
    /// What stands there now that the store is open.
    pub(super) fn of(dir: &Path, home: &Path) -> io::Result<Self> {
        let (mark, home) = (dir.join(MARK), home.to_owned());
        let seen = Seen::look(&mark, &home)?;
        Ok(Self { mark, home, seen })
    }

    /// Whether they still stand there. A later journal is no fault.
    fn are_there(&mut self) -> bool {
        match Seen::look(&self.mark, &self.home) {
            Ok(seen) => {
                let (number, file) = self.seen.journal;
                let goes_on = seen.journal.0 > number || seen.journal == (number, file);
                let is_there =
                    (seen.mark, seen.home) == (self.seen.mark, self.seen.home) && goes_on;
                if is_there {
                    self.seen = seen;
                }
                is_there
            }
            // Anything else, such as too many open files, says nothing about them.
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        }
    }
}

impl Seen {
    fn look(mark: &Path, home: &Path) -> io::Result<Self> {
        let id = |path: &Path| fs::metadata(path).map(FileId::from);
        let mut last = None;
        for entry in fs::read_dir(home)? {
            let path = entry?.path();
            let is_journal = path
                .extension()
                .is_some_and(|extension| extension == JOURNAL);
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            if let Some(number) = number.filter(|_| is_journal) {
                last = last.max(Some((number, path)));
            }
        }
        let (number, journal) = last.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            mark: id(mark)?,
            home: id(home)?,
            journal: (number, id(&journal)?),
        })
    }
}

/// A thread that watches the links of a store until it is dropped.
#[derive(Debug)]
pub(super) struct LinkWatch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl LinkWatch {
    /// Calls `lost` once if the files are not where they were.
    pub(super) fn start(
        mut links: Links,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            let mut missed = 0;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                // Twice in a row, because the engine may begin a journal during a look.
                missed = if links.are_there() { 0 } else { missed + 1 };
                if missed == 2 {
                    return lost();
                }
            }
        };
        let thread = thread::Builder::new()
            .name("store-links".to_owned())
            .spawn(watch)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    /// A mark and two journals.
    fn place() -> (TempDir, Links) {
        let dir = TempDir::new().unwrap();
        let home = dir.path().join("orders");
        fs::create_dir(&home).unwrap();
        for file in [
            dir.path().join(MARK),
            home.join("9.jnl"),
            home.join("10.jnl"),
            home.join("lock"),
        ] {
            fs::write(file, "").unwrap();
        }
        let links = Links::of(dir.path(), &home).unwrap();
        (dir, links)
    }

    #[test]
    fn links_are_missed_whatever_takes_their_place() {
        let harmless: [fn(&Path); 3] = [
            |_| {},
            |dir| fs::remove_file(dir.join("orders/9.jnl")).unwrap(),
            |dir| fs::write(dir.join("orders/11.jnl"), "").unwrap(),
        ];
        for change in harmless {
            let (dir, mut links) = place();
            change(dir.path());
            assert!(links.are_there() && links.are_there());
        }
        let harmful: [fn(&Path); 7] = [
            |dir| fs::remove_file(dir.join(MARK)).unwrap(),
            |dir| {
                fs::rename(dir.join(MARK), dir.join("elsewhere")).unwrap();
                fs::write(dir.join(MARK), "").unwrap();
            },
            |dir| fs::remove_file(dir.join("orders/10.jnl")).unwrap(),
            |dir| {
                fs::rename(dir.join("orders/10.jnl"), dir.join("elsewhere")).unwrap();
                fs::write(dir.join("orders/10.jnl"), "").unwrap();
            },
            |dir| fs::remove_dir_all(dir.join("orders")).unwrap(),
            |dir| fs::rename(dir.join("orders"), dir.join("elsewhere")).unwrap(),
            |dir| fs::remove_dir_all(dir).unwrap(),
        ];
        for change in harmful {
            let (dir, mut links) = place();
            change(dir.path());
            assert!(!links.are_there() && !links.are_there());
        }
    }

    #[test]
    fn a_directory_is_made_for_its_owner_and_a_shared_one_is_left_to_all() {
        let dir = TempDir::new().unwrap();
        let (above, deep) = (dir.path().join("a"), dir.path().join("a/b"));
        make(&deep).unwrap();
        make(&deep).unwrap();
        assert_eq!((mode(&above), mode(&deep)), (0o700, 0o700));

        let (dir, _) = place();
        let home = dir.path().join("orders");
        for path in [dir.path(), &home] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(home.join("9.jnl"), Permissions::from_mode(0o664)).unwrap();
        fs::write(dir.path().join("a letter"), "").unwrap();
        keep_from_others(dir.path(), &home).unwrap();
        assert_eq!(
            (mode(dir.path()), mode(&home), mode(&home.join("9.jnl"))),
            (0o755, 0o700, 0o600)
        );
        fs::remove_file(dir.path().join("a letter")).unwrap();
        fs::create_dir(dir.path().join(NOBODYS)).unwrap();
        keep_from_others(dir.path(), &home).unwrap();
        assert_eq!(
            (mode(dir.path()), mode(&dir.path().join(MARK))),
            (0o700, 0o600)
        );
    }
}
