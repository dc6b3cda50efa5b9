//! Files that no server should wait for: named pipes, devices, and files whose reading never ends.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::support::{
    copy_dir,
    process::{Program, until, with_timeout},
    sample_catalog,
};

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// A zipped feed file of gigabytes of white space, which takes minutes to read.
fn endless(path: &Path) {
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(&vec![b' '; 16 << 20]).unwrap();
    let zipped = zipped.finish().unwrap();
    let mut file = File::create(path).unwrap();
    for _ in 0..500 {
        file.write_all(&zipped).unwrap();
    }
}

fn catalog() -> TempDir {
    let dir = TempDir::new().unwrap();
    copy_dir(&sample_catalog(), dir.path());
    dir
}

fn serving(catalog: &TempDir) -> Program {
    Program::new().args([
        "--catalog-watch=0",
        "--catalog",
        catalog.path().to_str().unwrap(),
    ])
}

#[tokio::test]
async fn a_reload_does_not_wait_for_a_pipe_and_the_catalogue_stays() {
    let catalog = catalog();
    let mut program = serving(&catalog).start().await;
    pipe(&catalog.path().join("availability-2.json"));
    program.signal("HUP").await;
    let expected = "cannot be read: it is a named pipe, and only regular files are read";
    program
        .line("the rejection", |line| line["text"] == expected)
        .await;
    let ended = program.stop().await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_file_that_is_being_read() {
    let catalog = catalog();
    let endless_file = fs::canonicalize(catalog.path())
        .unwrap()
        .join("availability-2.json.gz");
    // While it starts.
    endless(&endless_file);
    let program = serving(&catalog).spawn();
    until("it reads", async || program.has_open(&endless_file)).await;
    let ended = with_timeout("the end", program.stop()).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
    // And while it serves.
    fs::remove_file(&endless_file).unwrap();
    let program = serving(&catalog).start().await;
    endless(&endless_file);
    program.signal("HUP").await;
    until("it reads", async || program.has_open(&endless_file)).await;
    let ended = with_timeout("the end", program.stop()).await;
    assert_eq!(ended.code(), 0, "{}", ended.text());
}

#[tokio::test]
async fn no_file_that_a_setting_names_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let (pipe_path, device) = (dir.path().join("pipe"), dir.path().join("device"));
    pipe(&pipe_path);
    symlink("/dev/zero", &device).unwrap();
    for (odd, what) in [(&pipe_path, "a named pipe"), (&device, "a device")] {
        let odd = odd.to_str().unwrap();
        for words in [
            &["--credentials", odd][..],
            &["--tls-certificate", odd, "--tls-key", odd],
            &["--config", odd],
        ] {
            let ended = Program::new().args(words).run().await;
            assert_eq!(ended.code(), 64, "{words:?}: {}", ended.text());
            let expected = format!("it is {what}, and only regular files are read");
            assert!(
                ended.text().contains(&expected),
                "{words:?}: {}",
                ended.text()
            );
        }
    }
}
