//! The directory of a store: created, restricted to its owner, and watched while the store is open.
//!
//! Orders contain names and addresses of people. Directories are therefore created with mode 0700, and
//! group and others lose their permissions on every file of the store, whatever the umask was. A directory
//! that holds other files keeps its mode, because they may be meant for other users.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{
    SEGMENTS, WATERMARK,
    error::OpenError,
    segment_name::{self, log_name},
};

/// Files of the engine of format 2, which kept its records in the same directory.
const ENGINE_FILES: [&str; 2] = ["version", "lock"];

/// The format of stores of that engine.
const ENGINE_FORMAT: &str = "boxoffice 2";

/// Mode of a directory that only its owner may use.
const OWNER_ONLY: u32 = 0o700;

/// Permission bits of group and others.
const GROUP_AND_OTHERS: u32 = 0o077;

/// A directory at the root of many file systems; beside a store it does not make the directory shared.
const LOST_AND_FOUND: &str = "lost+found";

/// How often the paths of the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Creates the directory of a store and its missing parents, for the owner only.
pub(super) fn create(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = with_parents(dir).take_while(|dir| !dir.exists()).collect();
    // From the outermost inwards and one by one, because another process may create one of them
    // meanwhile.
    for dir in missing.into_iter().rev() {
        match DirBuilder::new().mode(OWNER_ONLY).create(dir) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    Ok(())
}

/// Syncs the parents of a directory in which a store is created: they may be new, and a store on disk is
/// lost if the entry that leads to it is not.
pub(super) fn sync_parents(dir: &Path) {
    for dir in with_parents(dir).skip(1).chain([Path::new(".")]) {
        // Best effort: who may not open a directory has not created it.
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
}

/// Removes a file for good.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A directory and its parents, as far as its path names them.
fn with_parents(dir: &Path) -> impl Iterator<Item = &Path> {
    dir.ancestors().filter(|dir| !dir.as_os_str().is_empty())
}

/// Removes the permissions of group and others on the store, and on its directory unless that holds other
/// files.
pub(super) fn restrict_to_owner(dir: &Path, home: &Path) -> io::Result<()> {
    restrict(&dir.join(WATERMARK))?;
    restrict(home)?;
    let mut is_shared = false;
    for entry in entries(dir)? {
        let name = entry?.file_name();
        is_shared |= ![WATERMARK, LOST_AND_FOUND, SEGMENTS]
            .iter()
            .any(|ours| name == *ours);
    }
    let mode = fs::metadata(dir)?.mode();
    if is_shared && mode & GROUP_AND_OTHERS != 0 {
        tracing::warn!(
            directory = %dir.display(),
            "the directory of the store holds other files and is accessible to other users: only the files \
             of the store were restricted to their owner"
        );
        return Ok(());
    }
    set_owner_only(dir, mode)
}

/// Removes the permissions of group and others on a file, or on a directory and everything in it.
fn restrict(path: &Path) -> io::Result<()> {
    // Without following links: a link out of the store must not lead the restriction elsewhere.
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in entries(path)? {
            match restrict(&entry?.path()) {
                // Spares get their names in the background.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                taken => taken?,
            }
        }
    }
    // The mode of a symbolic link means nothing, and its target may belong to somebody else.
    if metadata.is_symlink() {
        Ok(())
    } else {
        set_owner_only(path, metadata.mode())
    }
}

fn set_owner_only(path: &Path, mode: u32) -> io::Result<()> {
    if mode & GROUP_AND_OTHERS == 0 {
        return Ok(());
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !GROUP_AND_OTHERS)) {
        // On a volume of another owner the operator has to do it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(path = %path.display(), "accessible to other users, and the mode cannot be changed");
            Ok(())
        }
        set => set,
    }
}

/// Fails if `home` holds files and no segment: it belongs to something else, or to a version with another engine.
pub(super) fn require_log_or_nothing(home: &Path) -> Result<(), OpenError> {
    let (mut is_empty, mut has_segments) = (true, false);
    for entry in entries(home).map_err(OpenError::in_file(home))? {
        let name = entry.map_err(OpenError::in_file(home))?.file_name();
        is_empty = false;
        has_segments |= name
            .to_str()
            .is_some_and(|name| segment_name::parse(name).is_some());
    }
    if is_empty || has_segments {
        Ok(())
    } else if ENGINE_FILES.iter().all(|file| home.join(file).exists()) {
        Err(OpenError::Format(ENGINE_FORMAT.to_owned()))
    } else {
        Err(OpenError::NotAStore(home.to_owned()))
    }
}

/// The entries of a directory; none if there is no directory.
fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(entries.into_iter().flatten())
}

/// Whether a directory of this name exists and has entries.
pub(super) fn is_filled(dir: &Path) -> bool {
    entries(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// Identity of a file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// The files of an open store, by path and identity.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    paths: [PathBuf; 3],
    files: [FileId; 3],
}

impl WatchedFiles {
    /// The files as they are now that the store is open: the watermark, the directory of the segments, and the first
    /// segment, which is there for ever. The segment in use is looked at with every batch.
    pub(super) fn of(dir: &Path, home: &Path) -> io::Result<Self> {
        let paths = [dir.join(WATERMARK), home.to_owned(), home.join(log_name(1))];
        let files = identities(&paths)?;
        Ok(Self { paths, files })
    }

    /// Whether the paths still lead to the files.
    fn are_there(&self) -> bool {
        match identities(&self.paths) {
            Ok(now) => now == self.files,
            // Any other error, such as too many open files, says nothing about the files.
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        }
    }
}

fn identities([watermark, home, first]: &[PathBuf; 3]) -> io::Result<[FileId; 3]> {
    Ok([
        FileId::of(watermark)?,
        FileId::of(home)?,
        FileId::of(first)?,
    ])
}

/// A thread that watches the files of a store until it is dropped.
#[derive(Debug)]
pub(super) struct FileWatch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FileWatch {
    /// Calls `lost` once if the paths no longer lead to the files.
    pub(super) fn start(
        files: WatchedFiles,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            while stopped.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if !files.are_there() {
                    return lost();
                }
            }
        };
        let thread = thread::Builder::new()
            .name("store-watch".to_owned())
            .spawn(watch)?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        // The thread ends once its channel is closed.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged; there is nothing left to do about it.
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

    /// A watermark and two segments.
    fn scene() -> (TempDir, WatchedFiles) {
        let dir = TempDir::new().unwrap();
        let home = dir.path().join(SEGMENTS);
        fs::create_dir(&home).unwrap();
        for file in [
            dir.path().join(WATERMARK),
            home.join(log_name(1)),
            home.join(log_name(2)),
        ] {
            fs::write(file, "").unwrap();
        }
        let files = WatchedFiles::of(dir.path(), &home).unwrap();
        (dir, files)
    }

    #[test]
    fn files_are_missed_whatever_takes_their_place() {
        let harmless: [fn(&Path); 3] = [
            |_| {},
            |dir| fs::remove_file(dir.join("orders/000002.log")).unwrap(),
            |dir| fs::write(dir.join("orders/000003.log"), "").unwrap(),
        ];
        for change in harmless {
            let (dir, files) = scene();
            change(dir.path());
            assert!(files.are_there());
        }
        let harmful: [fn(&Path); 7] = [
            |dir| fs::remove_file(dir.join(WATERMARK)).unwrap(),
            |dir| {
                fs::rename(dir.join(WATERMARK), dir.join("elsewhere")).unwrap();
                fs::write(dir.join(WATERMARK), "").unwrap();
            },
            |dir| fs::remove_file(dir.join("orders/000001.log")).unwrap(),
            |dir| {
                fs::rename(dir.join("orders/000001.log"), dir.join("elsewhere")).unwrap();
                fs::write(dir.join("orders/000001.log"), "").unwrap();
            },
            |dir| fs::remove_dir_all(dir.join("orders")).unwrap(),
            |dir| fs::rename(dir.join("orders"), dir.join("elsewhere")).unwrap(),
            |dir| fs::remove_dir_all(dir).unwrap(),
        ];
        for change in harmful {
            let (dir, files) = scene();
            change(dir.path());
            assert!(!files.are_there());
        }
    }

    #[test]
    fn a_directory_of_something_else_and_one_of_the_former_engine_are_left_alone() {
        let dir = TempDir::new().unwrap();
        let home = dir.path().join(SEGMENTS);
        let required = || require_log_or_nothing(&home);
        required().unwrap();
        fs::create_dir(&home).unwrap();
        required().unwrap();
        fs::write(home.join("version"), "").unwrap();
        assert!(matches!(required(), Err(OpenError::NotAStore(_))));
        fs::write(home.join("lock"), "").unwrap();
        assert!(matches!(required(), Err(OpenError::Format(format)) if format == "boxoffice 2"));
        fs::write(home.join(log_name(1)), "").unwrap();
        required().unwrap();
    }

    #[test]
    fn a_directory_is_created_for_its_owner_and_a_shared_one_is_left_to_all() {
        let dir = TempDir::new().unwrap();
        let (above, deep) = (dir.path().join("a"), dir.path().join("a/b"));
        create(&deep).unwrap();
        create(&deep).unwrap();
        assert_eq!((mode(&above), mode(&deep)), (0o700, 0o700));

        let (dir, _) = scene();
        let home = dir.path().join("orders");
        for path in [dir.path(), &home] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(home.join(log_name(1)), Permissions::from_mode(0o664)).unwrap();
        fs::write(dir.path().join("a letter"), "").unwrap();
        restrict_to_owner(dir.path(), &home).unwrap();
        assert_eq!(
            (mode(dir.path()), mode(&home), mode(&home.join(log_name(1)))),
            (0o755, 0o700, 0o600)
        );
        fs::remove_file(dir.path().join("a letter")).unwrap();
        fs::create_dir(dir.path().join(LOST_AND_FOUND)).unwrap();
        restrict_to_owner(dir.path(), &home).unwrap();
        assert_eq!(
            (mode(dir.path()), mode(&dir.path().join(WATERMARK))),
            (0o700, 0o600)
        );
    }
}
