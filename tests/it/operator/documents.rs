//! The examples of `docs/operator.md` are played: each shows what the server and the program say.

use std::{fmt::Write, fs, path::Path};

use super::stage::{Ordered, Stage};
use crate::support::{back_office::BackOffice, process::Program};

/// The orders of the examples: one that is paid on the spot, and one that this server has charged.
struct Examples {
    stage: Stage,
    order: String,
    visit: String,
}

/// The words of a line, as a shell reads them; in quotes there are blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 0 {
            words.extend(part.split_whitespace().map(str::to_owned));
        } else {
            words.push(part.to_owned());
        }
    }
    words
}

/// The output of a line after `$`.
async fn played(examples: &Examples, line: &str) -> String {
    let stage = &examples.stage;
    // What an example before it has begun is over.
    BackOffice(stage.address).settle().await;
    let line = line.replace("$ORDER", &examples.order);
    let line = line.replace("$VISIT", &examples.visit);
    let words = words(&line);
    match words.first().map(String::as_str) {
        Some("boxoffice") => {
            let server = format!("--server=http://{}", stage.address);
            let ended = Program::new()
                .args(&words[1..])
                .args([&*server])
                .run()
                .await;
            ended.text()
        }
        Some("curl") => {
            let path = words[1].strip_prefix("http://127.0.0.1:50053").unwrap();
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
    let visit = stage.paid_order("c", "approve").await;
    let examples = Examples {
        stage,
        order,
        visit,
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let document = fs::read_to_string(&path).unwrap();
    let (mut made, mut count) = (String::new(), 0);
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        writeln!(made, "{line}").unwrap();
        if line != "```console" {
            continue;
        }
        let command = lines.next().unwrap();
        let output = played(&examples, command.strip_prefix("$ ").unwrap()).await;
        writeln!(made, "{command}\n{}\n```", output.trim_end()).unwrap();
        count += 1;
        // The output that stands there is replaced.
        for line in lines.by_ref() {
            if line == "```" {
                break;
            }
        }
    }
    assert!(count > 12, "{count} examples");
    if made != document {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operator.md");
        fs::write(&file, made).unwrap();
        panic!(
            "docs/operator.md is out of date: copy {} over it",
            file.display()
        );
    }
    examples.stage.stop().await;
}
