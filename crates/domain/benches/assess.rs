//! The verdict on a cart: one line, and a cart of four lines that share fees and limits.
//!
//! `cargo bench -p boxoffice-domain --features fixtures`

use boxoffice_domain::fixtures::{Fixture, line};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

#[divan::bench]
fn one_line(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let items = [line("museum", &[("adult", 2)], 4_000)];
    bencher.bench(|| fixture.check(black_box(&items)));
}

#[divan::bench]
fn four_lines(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    let items = [
        line("museum", &[("adult", 2), ("child", 1)], 5_000),
        line("raft", &[("seat", 2)], 15_000),
        line("concert", &[("stalls", 1), ("balcony", 2)], 24_000),
        line("salon", &[], 3_500),
    ];
    bencher.bench(|| fixture.check(black_box(&items)));
}
