//! How often a test tries, and with which seeds.

use std::ops::Range;

/// The environment variables for the tests; they are none of the program's.
pub const VARIABLES: [&str; 2] = ["BOXOFFICE_TEST_ROUNDS", "BOXOFFICE_TEST_SEED"];

/// So many seeds, or as many as the environment says; from 0 on, or from what it says.
pub fn seeds(usually: u64) -> Range<u64> {
    let first = number(VARIABLES[1]).unwrap_or(0);
    first..first + number(VARIABLES[0]).unwrap_or(usually)
}

/// About the fewest steps in which a run finds something, with the finding. It is `found` in `most`.
pub fn shrink<F>(most: usize, found: F, run: impl Fn(usize) -> Result<(), F>) -> (usize, F) {
    let mut steps = 1;
    while steps < most {
        if let Err(found) = run(steps) {
            return (steps, found);
        }
        // By a quarter each time: the runs take about as long as five of the last, and the result is near enough.
        steps += steps.div_ceil(4);
    }
    (most, found)
}

#[expect(clippy::disallowed_methods, reason = "it is no setting of the server")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}
