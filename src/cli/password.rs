//! `boxoffice hash-password`: a password in, its hash for the credentials file out.

use std::io::{self, IsTerminal, Read, Write};

use super::{IO, SUCCESS, USAGE};
use crate::api::auth;
use kernel::files::text;

/// The longest password. With its name in front it has to fit into a header.
const MAX_BYTES: usize = 1024;

/// Reads a password, from a terminal without showing it, and prints its hash.
pub(super) fn run(stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let read = match read() {
        Ok(read) => read,
        Err(error) => {
            writeln!(stderr, "the password cannot be read: {error}")?;
            return Ok(IO);
        }
    };
    match hash(&read) {
        Ok(hash) => writeln!(stdout, "{hash}").map(|()| SUCCESS),
        Err(problem) => writeln!(stderr, "{problem}").map(|()| USAGE),
    }
}

fn read() -> io::Result<String> {
    let input = io::stdin();
    if input.is_terminal() {
        return rpassword::prompt_password("Password: ");
    }
    let mut bytes = Vec::new();
    // One byte too many is enough to tell; a line may end in two, and a mark may stand in front.
    let most = u64::try_from(MAX_BYTES + 3 + text::MARK.len()).unwrap_or(u64::MAX);
    input.lock().take(most).read_to_end(&mut bytes)?;
    text::of_file(&bytes)
}

/// The hash of the password, without the line break after it.
fn hash(read: &str) -> Result<String, String> {
    let password = read.strip_suffix('\n').unwrap_or(read);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err("a password must not be empty".to_owned());
    }
    if password.contains(char::is_control) {
        return Err(
            "a password must not have control characters, and no more than one line".to_owned(),
        );
    }
    if password.len() > MAX_BYTES {
        return Err(format!(
            "a password must not be longer than {MAX_BYTES} bytes"
        ));
    }
    auth::hash(password.as_bytes())
        .map_err(|error| format!("the password cannot be hashed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_come_with_the_end_of_its_line() {
        for read in [
            "correct horse",
            "correct horse\n",
            "correct horse\r\n",
            " ",
            "pässword",
            "a:b",
        ] {
            let hash = hash(read).unwrap();
            assert!(
                hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
                "{read:?}: {hash}"
            );
        }
        assert_ne!(
            hash("same").unwrap(),
            hash("same").unwrap(),
            "each has salt of its own"
        );
        assert!(hash(&"x".repeat(MAX_BYTES)).is_ok());
    }

    #[test]
    fn a_password_that_cannot_be_sent_is_an_error() {
        let long = "x".repeat(MAX_BYTES + 1);
        for (read, expected) in [
            ("", "a password must not be empty"),
            ("\n", "a password must not be empty"),
            ("\r\n", "a password must not be empty"),
            (
                "two\nlines\n",
                "a password must not have control characters, and no more than one line",
            ),
            (
                "bell\u{7}",
                "a password must not have control characters, and no more than one line",
            ),
            (&long, "a password must not be longer than 1024 bytes"),
        ] {
            assert_eq!(hash(read).unwrap_err(), expected, "{read:?}");
        }
    }
}
