//! The program is killed while operators cancel, refund, withdraw and note beside the creations of customers: each request
//! is decided once, money goes back once, and spots add up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use boxoffice::api::operator::proto::v1::{HistoryEntry, Order};
use fastrand::Rng;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Code, Status};

use super::{
    Started,
    client::Client,
    history::{Anomaly, Operation, Response},
    open,
    workload::{MERCHANT, SimulatedUser, Workload},
};
use crate::support::{
    Transport,
    back_office::{BackOffice, Contradiction, wrong_history, wrong_money},
    booked_server::Plan,
    paid_with,
    process::{Running, with_timeout},
    seeds::seeds,
};

const USUAL_ROUNDS: u64 = 4;

const USERS: u64 = 6;
const OPERATORS: u64 = 6;

/// Orders that are there before the operators come.
const FIRST_ORDERS: usize = 6;

/// Answers of a round before the program is killed.
const ANSWERS: std::ops::Range<usize> = 20..200;

/// An observation that contradicts a promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    Creation(Anomaly),
    Contradiction(Contradiction),
    /// An answered request is not in the history of its order.
    Lost {
        request: String,
    },
    /// A request is in a history that nobody has made, or that was rejected.
    Unasked {
        request: String,
    },
    /// A request was answered otherwise than before.
    OtherAnswer {
        request: String,
    },
    /// A request was not decided, though nobody killed the server.
    Undecided {
        request: String,
    },
    /// An order is on record that nobody has created.
    UnknownOrder {
        name: String,
    },
}

/// What an operator has asked for.
#[derive(Debug, Clone)]
struct Asked {
    order: String,
    path: String,
    body: Value,
    /// `None` if the connection was lost.
    answer: Option<Result<Order, Status>>,
}

impl Asked {
    fn request(&self) -> String {
        self.body["request_id"].as_str().unwrap().to_owned()
    }

    fn is_made(&self) -> bool {
        matches!(self.answer, Some(Ok(_)))
    }

    /// Any change of an order.
    fn any(chance: &mut Rng, order: &KnownOrder) -> Self {
        let KnownOrder { name, items } = order;
        let item = chance.u32(..*items);
        let amount = json!({"micros": chance.i64(1..9) * 1_000_000, "currency_code": "USD"});
        let refund = match chance.u8(..3) {
            0 => json!({"amount": amount}),
            1 => json!({"nothing": {}}),
            _ => json!({"full": {}}),
        };
        let (verb, mut body) = match chance.u8(..10) {
            0 => ("cancel", json!({"refund": refund})),
            1 | 2 => ("cancel", json!({"items": [item], "refund": refund})),
            3 => ("refund", json!({"refund": {"amount": amount}})),
            4 => ("refund", json!({"items": [item], "refund": {"full": {}}})),
            5 => (
                "withdraw",
                json!({"order_items": {"name": name, "items": [item]}}),
            ),
            6 => (
                "customerAction",
                json!({"decision": "CUSTOMER_DECISION_AMEND"}),
            ),
            7 => (
                "customerAction",
                json!({"decision": "CUSTOMER_DECISION_CANCEL"}),
            ),
            8 => ("noShow", json!({"items": [item]})),
            _ => ("addNote", json!({"note": "called"})),
        };
        body["request_id"] = random_request_id(chance).into();
        let path = if verb == "withdraw" {
            "orders:withdraw".to_owned()
        } else {
            format!("{name}:{verb}")
        };
        Self {
            order: name.clone(),
            path,
            body,
            answer: None,
        }
    }

    /// Asks once more. Says what is wrong with the answer beside the one before.
    async fn ask(&mut self, office: BackOffice) -> Option<Finding> {
        let answer = office.change(&self.path, &self.body).await;
        let request = self.request();
        let finding = match (&self.answer, &answer) {
            (Some(Ok(before)), Some(Ok(again))) if outline(before) != outline(again) => {
                Some(Finding::OtherAnswer { request })
            }
            (Some(Ok(_)), Some(Err(_))) => Some(Finding::OtherAnswer { request }),
            (_, Some(Err(error))) if error.code() == Code::Internal => {
                Some(Finding::Undecided { request })
            }
            (_, _) => None,
        };
        if self.answer.is_none() {
            self.answer = answer;
        }
        finding
    }

    /// Takes the answer of the same request, sent at the same time. Says whether they contradict each other.
    fn merge(&mut self, twin: Self) -> Option<Finding> {
        match (&self.answer, twin.answer) {
            (Some(Ok(one)), Some(Ok(other))) => {
                (outline(one) != outline(&other)).then(|| Finding::OtherAnswer {
                    request: self.request(),
                })
            }
            // One was rejected, or lost: only the other can be decided.
            (Some(Ok(_)), _) | (_, Some(Err(_))) => None,
            (_, made @ Some(Ok(_))) => {
                self.answer = made;
                None
            }
            (_, None) => {
                self.answer = None;
                None
            }
        }
    }
}

/// What an answer has of an order that is the same in every repetition.
fn outline(order: &Order) -> (&str, &str, Vec<&str>, Vec<(&str, i64)>) {
    let items = order.items.iter().map(|item| &*item.state);
    let refunds = order.refunds.iter().map(|refund| {
        let amount = refund.amount.as_ref();
        (&*refund.state, amount.map_or(0, |amount| amount.micros))
    });
    (
        &order.etag,
        &order.state,
        items.collect(),
        refunds.collect(),
    )
}

fn random_request_id(chance: &mut Rng) -> String {
    let (high, low) = (chance.u32(..), chance.u64(..1 << 48));
    format!("{high:08x}-0000-4000-8000-{low:012x}")
}

/// An order that operators may change.
#[derive(Debug, Clone)]
struct KnownOrder {
    name: String,
    items: u32,
}

/// Orders that everybody knows of.
type KnownOrders = Arc<Mutex<Vec<KnownOrder>>>;

/// What customers and operators have done.
#[derive(Debug, Clone, Default)]
struct Record {
    operations: Vec<Operation>,
    asked: Vec<Asked>,
    findings: Vec<Finding>,
}

impl Record {
    fn extend(&mut self, other: Self) {
        self.operations.extend(other.operations);
        self.asked.extend(other.asked);
        self.findings.extend(other.findings);
    }

    /// The names of the orders that it is about.
    fn names(&self) -> BTreeSet<String> {
        let created = self.operations.iter().filter_map(|it| it.order.as_ref());
        let created = created.map(|order| format!("orders/{}", order.order_id));
        let changed = self.asked.iter().map(|asked| asked.order.clone());
        created.chain(changed).collect()
    }
}

/// The program of these rounds and everything that is known of it.
struct Rounds {
    workload: Workload,
    plan: Plan,
    known: KnownOrders,
    /// The last round, and those before.
    last: Record,
    before: Record,
    dir: TempDir,
    _catalog: TempDir,
}

impl Rounds {
    fn of(rounds: u64) -> Self {
        let (catalog, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let workload = Workload::of(rounds);
        workload.write(catalog.path(), 0);
        Self {
            plan: Plan::of(catalog.path(), dir.path()),
            workload,
            known: KnownOrders::default(),
            last: Record::default(),
            before: Record::default(),
            dir,
            _catalog: catalog,
        }
    }

    async fn start(&self) -> (Started, BackOffice) {
        let mut started = open(self.plan.program()).await;
        let office = BackOffice(started.server.operator_address().await);
        (started, office)
    }

    /// Lets everybody in until enough was answered, and kills the program in the middle of it.
    async fn run_until_killed(
        &self,
        server: Running,
        office: BackOffice,
        round: u64,
        chance: &mut Rng,
    ) -> Record {
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut record = Record::default();
        let mut first = self.user(round, USERS, chance);
        let mut client = Client::at(&server).await;
        for _ in 0..FIRST_ORDERS {
            record.extend(create(&mut first, &mut client, &self.known).await.0);
        }
        let mut sessions = JoinSet::new();
        for number in 0..USERS {
            let (user, known) = (self.user(round, number, chance), Arc::clone(&self.known));
            let client = Client::at(&server).await;
            sessions.spawn(run_user(user, client, known, tell.clone()));
        }
        for _ in 0..OPERATORS {
            let (known, chance) = (Arc::clone(&self.known), chance.fork());
            sessions.spawn(run_operator(office, known, chance, tell.clone()));
        }
        for _ in 0..chance.usize(ANSWERS) {
            with_timeout("an answer", told.recv()).await.unwrap();
        }
        server.kill().await;
        while let Some(of_one) = with_timeout("the end of a session", sessions.join_next()).await {
            record.extend(of_one.unwrap());
        }
        record
    }

    fn user(&self, round: u64, number: u64, chance: &mut Rng) -> SimulatedUser {
        SimulatedUser::new(&self.workload, round, number, chance.u64(..))
    }

    /// What is wrong with what the server has of the last round. What has no answer is asked once more.
    /// Returns the names of the orders that it is about, too.
    async fn audit(
        &mut self,
        started: &Started,
        office: BackOffice,
    ) -> (Vec<Finding>, BTreeSet<String>) {
        let mut findings = std::mem::take(&mut self.last.findings);
        let mut client = Client::at(&started.server).await;
        for operation in &mut self.last.operations {
            findings.extend(send_again(operation, &mut client).await);
        }
        for asked in &mut self.last.asked {
            // One that was rejected may be possible by now.
            if !matches!(asked.answer, Some(Err(_))) {
                findings.extend(asked.ask(office).await);
            }
        }
        let names = self.last.names();
        self.before.extend(std::mem::take(&mut self.last));
        (findings, names)
    }

    /// What does not add up: the orders of these names, and all slots that are sold in a round.
    async fn contradictions(
        &self,
        office: BackOffice,
        names: &BTreeSet<String>,
        round: u64,
    ) -> Vec<Finding> {
        office.settle().await;
        let books = self.plan.books();
        let orders = office.orders().await;
        let dates = self.dates(round);
        let mut found = office.wrong_slots(MERCHANT, &dates, &orders).await;
        let created = self.before.names();
        let mut findings = Vec::new();
        for order in &orders {
            if !created.contains(&order.name) {
                let name = order.name.clone();
                findings.push(Finding::UnknownOrder { name });
            }
            if names.contains(&order.name) {
                found.extend(wrong_money(order, &books));
                let history = office.history(&order.name).await;
                found.extend(wrong_history(&order.name, &history));
                findings.extend(self.wrong_requests(&order.name, &history));
            }
        }
        findings.extend(found.into_iter().map(Finding::Contradiction));
        findings
    }

    /// The requests of an order that are answered and not in its history, or the other way round.
    fn wrong_requests(&self, name: &str, history: &[HistoryEntry]) -> Vec<Finding> {
        let mut on_record: BTreeSet<String> = history
            .iter()
            .map(|entry| entry.request_id.clone())
            .filter(|request| !request.is_empty())
            .collect();
        let made = self.before.asked.iter().filter(|it| it.is_made());
        let mut findings = Vec::new();
        for asked in made.filter(|asked| asked.order == name) {
            let request = asked.request();
            if !on_record.remove(&request) {
                findings.push(Finding::Lost { request });
            }
        }
        findings.extend(
            on_record
                .into_iter()
                .map(|request| Finding::Unasked { request }),
        );
        findings
    }

    /// The days on which a round sells slots.
    fn dates(&self, round: u64) -> Vec<String> {
        let pools = self.workload.pools(round);
        let starts = pools.iter().map(|pool| pool.start_sec);
        let days = starts.map(|start| {
            let moment = Timestamp::from_second(start).unwrap();
            TimeZone::UTC.to_datetime(moment).date().to_string()
        });
        days.collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// Fails with what it takes to look into it.
    fn assert_none(&mut self, findings: &[Finding], seed: u64) {
        if !findings.is_empty() {
            self.dir.disable_cleanup(true);
            let dir = self.dir.path().display();
            panic!(
                "found after the round of seed {seed}: {findings:#?}\nThe store is as it was in {dir}."
            );
        }
    }

    /// How many changes of each kind were made.
    fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for asked in self.before.asked.iter().filter(|it| it.is_made()) {
            let verb = asked.path.rsplit(':').next().unwrap().to_owned();
            *counts.entry(verb).or_default() += 1;
        }
        counts
    }
}

/// Sends a token again, unless it has failed: then it may lead to an order by now.
async fn send_again(operation: &mut Operation, client: &mut Client) -> Option<Finding> {
    if operation.order.is_none() && !operation.is_open {
        return None;
    }
    operation.is_open = false;
    let response = client.create(Transport::Grpc, &operation.request).await;
    let anomaly = if response == Response::Lost {
        Some(Anomaly::Unanswered {
            token: operation.token(),
        })
    } else {
        operation.record(response)
    };
    anomaly.map(Finding::Creation)
}

/// Creates an order, paid in half of the cases. Says whether it was answered.
async fn create(
    user: &mut SimulatedUser,
    client: &mut Client,
    known: &KnownOrders,
) -> (Record, bool) {
    let mut request = user.order();
    if user.chance.bool() {
        request = paid_with(request, "approve");
    }
    let mut operation = Operation::new(request);
    let response = client.create(Transport::Grpc, &operation.request).await;
    let is_answered = response != Response::Lost;
    let mut record = Record::default();
    record
        .findings
        .extend(operation.record(response).map(Finding::Creation));
    if let Some(order) = &operation.order {
        known.lock().unwrap().push(KnownOrder {
            name: format!("orders/{}", order.order_id),
            items: u32::try_from(order.item.len()).unwrap(),
        });
    }
    record.operations.push(operation);
    (record, is_answered)
}

/// Creates one order after the other until the connection breaks.
async fn run_user(
    mut user: SimulatedUser,
    mut client: Client,
    known: KnownOrders,
    tell: mpsc::UnboundedSender<()>,
) -> Record {
    let mut record = Record::default();
    loop {
        let (created, is_answered) = create(&mut user, &mut client, &known).await;
        record.extend(created);
        if !is_answered {
            return record;
        }
        let _ = tell.send(());
    }
}

/// Changes one order after the other until the connection breaks; now and then asks twice at once.
async fn run_operator(
    office: BackOffice,
    known: KnownOrders,
    mut chance: Rng,
    tell: mpsc::UnboundedSender<()>,
) -> Record {
    let mut record = Record::default();
    loop {
        // Rather a newer one, so that several operators meet at an order.
        let order = {
            let known = known.lock().unwrap();
            let newest = known.len().saturating_sub(2 * FIRST_ORDERS);
            known[chance.usize(newest..known.len())].clone()
        };
        let mut asked = Asked::any(&mut chance, &order);
        let is_answered = if chance.u8(..4) == 0 {
            let mut twin = asked.clone();
            let (one, other) = tokio::join!(asked.ask(office), twin.ask(office));
            record.findings.extend(one.into_iter().chain(other));
            let are_answered = asked.answer.is_some() && twin.answer.is_some();
            record.findings.extend(asked.merge(twin));
            are_answered
        } else {
            record.findings.extend(asked.ask(office).await);
            asked.answer.is_some()
        };
        record.asked.push(asked);
        if !is_answered {
            return record;
        }
        let _ = tell.send(());
    }
}

#[tokio::test]
async fn operators_and_customers_lose_nothing_and_get_nothing_twice_by_any_number_of_crashes() {
    let seeds = seeds(USUAL_ROUNDS);
    let mut rounds = Rounds::of(seeds.end - seeds.start);
    for (round, seed) in (0..).zip(seeds) {
        let mut chance = Rng::with_seed(seed);
        let (started, office) = rounds.start().await;
        let record = rounds.run_until_killed(started.server, office, round, &mut chance);
        rounds.last = record.await;
        let (started, office) = rounds.start().await;
        let (mut findings, names) = rounds.audit(&started, office).await;
        findings.extend(rounds.contradictions(office, &names, round).await);
        rounds.assert_none(&findings, seed);
        started.server.kill().await;
    }
    let (counts, refunds) = (rounds.counts(), rounds.plan.books().refunds.len());
    eprintln!("{counts:?}, {refunds} refunds");
    for verb in ["cancel", "refund", "withdraw", "addNote"] {
        assert!(counts.contains_key(verb), "no {verb}: {counts:?}");
    }
    assert!(refunds > 0, "no money went back");
}

/// The negative controls: records that differ by one request, or by one answer.
#[tokio::test]
async fn a_request_that_nobody_made_and_an_answer_that_differs_are_found() {
    let mut rounds = Rounds::of(1);
    let (started, office) = rounds.start().await;
    let mut chance = Rng::with_seed(0);
    let record = rounds.run_until_killed(started.server, office, 0, &mut chance);
    rounds.last = record.await;
    let (started, office) = rounds.start().await;
    let (findings, names) = rounds.audit(&started, office).await;
    assert_eq!(findings, []);
    assert_eq!(rounds.contradictions(office, &names, 0).await, []);
    let made = rounds.before.asked.iter().position(Asked::is_made);
    let mut asked = rounds.before.asked.remove(made.unwrap());
    let request = asked.request();
    let found = rounds.contradictions(office, &names, 0).await;
    assert_eq!(
        found,
        [Finding::Unasked {
            request: request.clone()
        }]
    );
    let Some(Ok(answer)) = &mut asked.answer else {
        panic!("it is made");
    };
    answer.state.push('x');
    let other = Finding::OtherAnswer {
        request: request.clone(),
    };
    assert_eq!(asked.ask(office).await, Some(other));
    // One that the server has never seen, in its place.
    asked.body["request_id"] = random_request_id(&mut chance).into();
    let lost = Finding::Lost {
        request: asked.request(),
    };
    rounds.before.asked.push(asked);
    let found = rounds.contradictions(office, &names, 0).await;
    assert_eq!(found, [lost, Finding::Unasked { request }]);
    started.server.kill().await;
}
