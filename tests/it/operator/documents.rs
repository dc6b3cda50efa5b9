//! The examples of `docs/operator.md` are played: each shows what the server and the program say.

use std::{fmt::Write, fs, path::Path};

use super::stage::{Ordered, Stage};
use crate::support::process::Program;

/// The output of a line after `$`.
async fn played(stage: &Stage, line: &str, order: &str) -> String {
    let line = line.replace("$ORDER", order);
    let mut words = line.split_whitespace();
    match words.next() {
        Some("boxoffice") => {
            let server = format!("--server=http://{}", stage.address);
            let ended = Program::new().args(words).args([&*server]).run().await;
            ended.text()
        }
        Some("curl") => {
            let url = line.split('\'').nth(1).unwrap();
            let path = url.strip_prefix("http://127.0.0.1:50053").unwrap();
            format!("{:#}", stage.get(path).await.json())
        }
        other => panic!("{other:?} cannot be played"),
    }
}

#[tokio::test]
async fn the_examples_are_what_is_said() {
    let stage = Stage::start().await;
    let order = stage.order("a", 0, Ordered::Museum).await;
    stage.order("b", 60, Ordered::Haircut).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let document = fs::read_to_string(&path).unwrap();
    let (mut made, mut examples) = (String::new(), 0);
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        writeln!(made, "{line}").unwrap();
        if line != "```console" {
            continue;
        }
        let command = lines.next().unwrap();
        let output = played(&stage, command.strip_prefix("$ ").unwrap(), &order).await;
        writeln!(made, "{command}\n{}\n```", output.trim_end()).unwrap();
        examples += 1;
        // The output that stands there is replaced.
        for line in lines.by_ref() {
            if line == "```" {
                break;
            }
        }
    }
    assert!(examples > 5, "{examples} examples");
    if made != document {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operator.md");
        fs::write(&file, made).unwrap();
        panic!(
            "docs/operator.md is out of date: copy {} over it",
            file.display()
        );
    }
    stage.stop().await;
}
