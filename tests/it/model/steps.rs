//! What is done to a server, by chance.

use fastrand::Rng;

use super::asks::Ask;
use crate::support::NOW;

/// Something that is done. Numbers choose among what there is when its turn comes.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Check {
        cart: Option<usize>,
        merchant: Merchant,
        lines: Vec<Line>,
    },
    /// Checks a cart again that was looked at a moment ago.
    Renew(usize),
    Create {
        token: usize,
        user: usize,
        merchant: Merchant,
        lines: Vec<Line>,
        fees: Fees,
        tax: Fees,
        payment: Payment,
    },
    /// Orders what a cart had when it was last looked at.
    Order {
        cart: usize,
        payment: Payment,
    },
    /// Sends a request again that was sent before.
    Again(usize),
    /// Sends another request under a token of one that was sent before.
    Otherwise(usize),
    ListUser(usize),
    ListIds(Vec<usize>),
    LookUp(Vec<(usize, i32)>),
    Count(usize),
    Replace(u64),
    Sleep(i64),
    /// What operators do.
    Operators(Ask),
    Restart,
    /// The clock is off by so many seconds for a few steps; at first something happens, and it is looked
    /// at so many times.
    Clock {
        off: i64,
        then: Then,
        sweeps: usize,
    },
}

/// What happens when the clock is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Reload,
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merchant {
    Known,
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) slot: usize,
    pub(super) tickets: Vec<(&'static str, i32)>,
    pub(super) price: Priced,
    pub(super) answered: bool,
}

/// Which price a line carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priced {
    Right,
    WithoutDeals,
    Former,
    Off(i64),
    Missing,
    Negative,
    Foreign,
}

/// Which fees an order states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fees {
    Right,
    Off,
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payment {
    None,
    Google,
    /// By Google, which says that it has the money.
    Provided,
    Partner(&'static str),
    /// The bank's challenge has been passed.
    Challenged,
}

pub(super) fn one_of<T: Copy>(chance: &mut Rng, all: &[T]) -> T {
    all[chance.usize(..all.len())]
}

fn line(chance: &mut Rng) -> Line {
    let slot = one_of(
        chance,
        &[0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6],
    );
    let tickets = match slot {
        3 => one_of(chance, &[&[][..], &[], &[], &[], &[("adult", 1)]]).to_vec(),
        4 => one_of(
            chance,
            &[&[("seat", 1)][..], &[("seat", 2)], &[("seat", 3)], &[]],
        )
        .to_vec(),
        _ if chance.u8(..4) == 0 => (0..chance.usize(..4)).map(|_| ticket(chance)).collect(),
        _ => one_of(chance, PARTIES).to_vec(),
    };
    let price = match chance.u8(..30) {
        0 => one_of(
            chance,
            &[Priced::Missing, Priced::Negative, Priced::Foreign],
        ),
        1 => Priced::Off(10_000),
        2 => Priced::Off(-10_000),
        3 => Priced::WithoutDeals,
        4 | 5 => Priced::Former,
        _ => Priced::Right,
    };
    Line {
        slot,
        tickets,
        price,
        answered: chance.u8(..6) > 0,
    }
}

/// Parties as they mostly come.
const PARTIES: &[&[(&str, i32)]] = &[
    &[("adult", 1)],
    &[("adult", 2)],
    &[("adult", 2)],
    &[("adult", 4)],
    &[("adult", 5)],
    &[("adult", 2), ("child", 1)],
    &[("child", 2), ("adult", 1)],
    &[("adult", 4), ("child", 2)],
    &[("vip", 2)],
    &[("adult", 1), ("vip", 1)],
];

/// Some tickets, sensible or not.
fn ticket(chance: &mut Rng) -> (&'static str, i32) {
    let id = one_of(
        chance,
        &["adult", "adult", "adult", "child", "child", "vip"],
    );
    match chance.u8(..20) {
        0 => (id, 0),
        1 => (id, -1),
        2 => ("stranger", 1),
        _ => (id, one_of(chance, &[1, 1, 2, 2, 3, 4, 5, 7])),
    }
}

fn lines(chance: &mut Rng) -> Vec<Line> {
    let count = one_of(
        chance,
        &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3],
    );
    let mut lines: Vec<Line> = (0..count).map(|_| line(chance)).collect();
    // Two lines of one slot have to fit it together, and a night does not go with a tour.
    if let [first, second, ..] = &mut lines[..]
        && first.slot < 3
    {
        if second.slot < 3 {
            second.slot = first.slot;
        } else if second.slot > 3 {
            *second = Line {
                slot: 4,
                tickets: vec![("seat", 1)],
                price: Priced::Right,
                answered: true,
            };
        }
    }
    lines
}

fn payment(chance: &mut Rng) -> Payment {
    match chance.u8(..16) {
        0 => Payment::Google,
        1..=3 => Payment::Partner("decline"),
        4 => Payment::Partner("reject-jcb"),
        5 => Payment::Partner("error"),
        6 => Payment::Partner("3ds1"),
        7 => Payment::Challenged,
        8 => Payment::Partner("hang"),
        9..=11 => Payment::Partner("approve"),
        12 => Payment::Provided,
        _ => Payment::None,
    }
}

/// An order of one or two tours that nothing is wrong with, charged by the server.
pub(super) fn sale(chance: &mut Rng) -> Step {
    let slots = one_of(chance, &[&[0][..], &[2], &[0, 2], &[2, 0]]);
    let line = |slot: &usize| Line {
        slot: *slot,
        tickets: vec![("adult", 1)],
        price: Priced::Right,
        answered: true,
    };
    Step::Create {
        token: chance.usize(..TOKENS),
        user: chance.usize(..2),
        merchant: Merchant::Known,
        lines: slots.iter().map(line).collect(),
        fees: Fees::Right,
        tax: Fees::Absent,
        payment: Payment::Partner("approve").rather_charged(chance),
    }
}

impl Payment {
    /// The same, but more often charged by the server, sometimes to a card that takes nothing back.
    pub(super) fn rather_charged(self, chance: &mut Rng) -> Self {
        if self == Self::None && chance.bool() {
            return Self::Partner("approve");
        }
        let is_other = !matches!(self, Self::None | Self::Partner("approve"));
        if is_other || chance.u8(..3) > 0 {
            self
        } else {
            Self::Partner(CLOSED_CARD)
        }
    }
}

/// The payment token of a card that takes nothing back.
pub(super) const CLOSED_CARD: &str = "refund-fails";

/// A clock that is wrong for a while.
pub(super) fn clock(chance: &mut Rng, durable: bool) -> Step {
    let then = one_of(chance, &[Then::Nothing, Then::Reload, Then::Restart]);
    let then = if then == Then::Restart && !durable {
        Then::Reload
    } else {
        then
    };
    // Rarely, because nothing is sold any more once the clock was ahead for so many looks.
    if chance.u8(..20) == 0 {
        return Step::Clock {
            off: 30 * DAY,
            then,
            sweeps: 12,
        };
    }
    let off = [
        -900,
        900,
        -3 * HOUR,
        3 * HOUR,
        -DAY,
        DAY,
        -3 * DAY,
        3 * DAY,
        30 * DAY,
        -NOW,
        20_000 * DAY,
    ];
    Step::Clock {
        off: one_of(chance, &off),
        then,
        sweeps: 1,
    }
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Tokens, and carts.
const TOKENS: usize = 80;

/// A step; restarts only where what was ordered outlives them.
pub(super) fn step(chance: &mut Rng, durable: bool) -> Step {
    let merchant = if chance.u8(..40) == 0 {
        Merchant::Unknown
    } else {
        Merchant::Known
    };
    match chance.u8(..100) {
        0..=22 => {
            let cart = (chance.u8(..3) > 0).then(|| chance.usize(..TOKENS));
            Step::Check {
                cart,
                merchant,
                lines: lines(chance),
            }
        }
        23..=27 => Step::Renew(chance.usize(..2)),
        28..=37 => Step::Order {
            cart: chance.usize(..),
            payment: payment(chance),
        },
        38..=61 => Step::Create {
            token: chance.usize(..TOKENS),
            user: chance.usize(..2),
            merchant,
            lines: lines(chance),
            fees: one_of(
                chance,
                &[
                    Fees::Right,
                    Fees::Right,
                    Fees::Right,
                    Fees::Right,
                    Fees::Off,
                    Fees::Absent,
                ],
            ),
            tax: one_of(
                chance,
                &[Fees::Right, Fees::Off, Fees::Absent, Fees::Absent],
            ),
            payment: payment(chance),
        },
        62..=66 => Step::Again(chance.usize(..)),
        67..=69 => Step::Otherwise(chance.usize(..)),
        70..=73 => Step::ListUser(chance.usize(..3)),
        74..=76 => Step::ListIds((0..4).map(|_| chance.usize(..)).collect()),
        77..=80 => Step::LookUp(
            (0..3)
                .map(|_| (chance.usize(..7), chance.i32(-1..8)))
                .collect(),
        ),
        81..=83 => Step::Count(chance.usize(..7)),
        84..=88 => Step::Replace(chance.u64(..)),
        89..=97 => Step::Sleep(one_of(chance, &[1, 60, 60, 299, 301, 599, 600, 601, 1800])),
        _ if durable => Step::Restart,
        _ => Step::Sleep(1),
    }
}
