//! A server and a reference model receive the same random calls, and every answer is compared:
//! checks, holds, orders, payments, lists and look-ups, while catalogues are replaced, time passes
//! and the server is restarted; and what operators do after the sale, while lifecycles are published.
//!
//! The model knows no more of the server than the contract and `docs/catalog.md` say. That the
//! comparison sees something is shown by models that get one rule wrong: each is detected.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice::{
    api::booking::proto::v3::{
        CheckOrderFulfillabilityRequest, CheckOrderFulfillabilityResponse, CreateOrderRequest,
        LineItem, OrderFulfillability, PrepaymentStatus, ResourceIds, Slot, SlotTime,
        line_item::OrderedTickets, payment_information::PaymentProcessedBy,
    },
    config::PaymentsChoice,
    kernel::clock::ManualClock,
    payments::simulated::SimulatedGateway,
    store::log::{LogStore, OpenError},
};
use domain::time::{EpochSeconds, Seconds};
use tempfile::TempDir;
use tonic::Status;

use crate::support::{
    Item, NOW, Setup, TestServer, open_store, operator_config, order_request, paid_with,
    payment_information, price, process::with_timeout, reason, seeds::seeds, stating_fees,
};

mod after_sale;
mod answers;
mod asks;
mod blocks;
mod changes;
mod fixture;
mod operators;
mod outline;
mod publications;
mod reference;
mod refunds;
mod rules;
mod steps;
mod time;
mod verdict;

use after_sale::StateNames;
use answers::NotCreated;
use asks::PlanPhase;
use fixture::{FixtureCatalog, MERCHANT};
use operators::Answered;
use reference::ReferenceModel;
use rules::Rule;
use steps::{CLOSED_CARD, Fees, Line, Merchant, Payment, Priced, Step, Then};
use time::Forgotten;

const HOUR: i64 = 3600;

/// Steps that are taken while the clock is off.
const STEPS_OFF: usize = 4;

const USERS: [&str; 3] = ["ada", "bob", "nobody"];

/// The steps of a run, and the moment of its start.
#[derive(Debug, Clone)]
struct Plan {
    begin: i64,
    durable: bool,
    /// Whether there is a gateway.
    charging: bool,
    /// Whether operators change orders, and the merchant confirms some.
    has_operators: bool,
    steps: Vec<Step>,
}

impl Plan {
    fn of(seed: u64, steps: usize, durable: bool) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        // Some begin when the night is still closed, some shortly before the first or the second tour is.
        let begin = NOW + [0, 2 * HOUR, 27 * HOUR - 900, 29 * HOUR - 900][chance.usize(..4)];
        let charging = seed % 4 != 3;
        Self {
            begin,
            durable,
            charging,
            has_operators: false,
            steps: (0..steps)
                .map(|_| steps::step(&mut chance, durable))
                .collect(),
        }
    }

    /// The same with a clock that is wrong now and then.
    fn with_clocks(self, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(!seed);
        let mut steps = Vec::new();
        for step in self.steps {
            if chance.u8(..25) == 0 {
                steps.push(steps::clock(&mut chance, self.durable));
            }
            steps.push(step);
        }
        Self { steps, ..self }
    }

    /// The same with operators, whose work comes after some of its steps.
    fn with_operators(self, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(!seed);
        let mut steps = Vec::new();
        let late = self.steps.len() * 3 / 5;
        for (at, mut step) in self.steps.into_iter().enumerate() {
            let phase = if at < late {
                PlanPhase::Early
            } else {
                PlanPhase::Late
            };
            if let Step::Create { payment, .. } | Step::Order { payment, .. } = &mut step {
                *payment = payment.rather_charged(&mut chance);
            }
            steps.push(step);
            if chance.u8(..8) == 0 {
                steps.push(steps::sale(&mut chance));
            }
            if chance.bool() {
                steps.push(Step::Operators(asks::ask(&mut chance, phase)));
            }
        }
        Self {
            // All slots are open for some hours.
            begin: NOW + HOUR * chance.i64(0..3),
            has_operators: true,
            steps,
            ..self
        }
    }
}

/// A catalogue by its number.
fn catalogue(number: u64, has_operators: bool) -> FixtureCatalog {
    let catalogue = FixtureCatalog::of(number);
    if has_operators {
        catalogue.confirming()
    } else {
        catalogue
    }
}

/// A server and its model.
struct Harness {
    dir: TempDir,
    durable: bool,
    charging: bool,
    clock: Arc<ManualClock>,
    /// By how much the clock is off, and for how many steps.
    off: i64,
    steps_off: usize,
    server: TestServer,
    model: ReferenceModel,
    /// Every order asked for, and the last request that led to one, by token.
    sent: Vec<CreateOrderRequest>,
    led_to_order: HashMap<String, CreateOrderRequest>,
    /// What carts had when they were last looked at.
    looked_at: Vec<(usize, Vec<Line>)>,
    has_operators: bool,
    /// What it has charged and given back outlives the server.
    gateway: Arc<SimulatedGateway>,
    /// The requests of operators that have changed an order, and the numbers of requests and publications.
    answered: Vec<Answered>,
    requests: u32,
    publications: u32,
    /// The id of an order of which nothing is asked; empty before there is one.
    beacon: String,
    seen: Coverage,
}

/// Kinds of answers and their number.
type Coverage = BTreeMap<&'static str, u32>;

/// Kinds of answers that a few plans must produce; without them agreement shows nothing.
const EXPECTED_COVERAGE: [&str; 33] = [
    "CAN_FULFILL",
    "SLOT_UNAVAILABLE",
    "CHILD_TICKETS_WITHOUT_ADULT",
    "UNFULFILLABLE_TICKET_COMBINATION",
    "INCORRECT_PRICE",
    "TICKET_CONSTRAINT_VIOLATED",
    "ITEM_UNFULFILLABLE_OTHER_REASON",
    "UNFULFILLABLE_LINE_ITEM",
    "UNFULFILLABLE_SERVICE_COMBINATION",
    "ORDER_UNFULFILLABLE_OTHER_REASON",
    "PRICE_INCREASE",
    "PRICE_DECREASE",
    "ticket types",
    "a hold",
    "a hold that is cut",
    "a hold of an order's own cart",
    "an order",
    "the same order",
    "an order on record that is listed",
    "ORDER_UNFULFILLABLE",
    "INCORRECT_FEE_TOTAL",
    "PAYMENT_ERROR",
    "PAYMENT_ERROR_CARD_DECLINED",
    "PAYMENT_ERROR_CARD_TYPE_REJECTED",
    "PAYMENT_REQUIRES_3DS1",
    "INVALID_REQUEST",
    "TOKEN_REUSED",
    "available",
    "an order with two taxes",
    "no gateway",
    "no prepayment",
    "a charge for what is not prepaid",
    "another tax",
];

/// The same while the clock jumps, which closes the slots for many of the steps.
const EXPECTED_COVERAGE_WITH_CLOCKS: [&str; 6] = [
    "CAN_FULFILL",
    "a hold",
    "an order",
    "the same order",
    "available",
    "a slot that is forgotten",
];

/// The same of operators, and why they are rejected.
const EXPECTED_COVERAGE_WITH_OPERATORS: [&str; 32] = [
    "an order",
    "the same order",
    "an order is cancelled",
    "items are cancelled",
    "money is given back",
    "items are withdrawn",
    "items are withdrawn and kept off sale",
    "a customer amends",
    "a customer cancels",
    "nobody comes",
    "a merchant confirms",
    "a merchant declines",
    "a refund is asked for again",
    "a note",
    "a dry run",
    "the same request",
    "a block",
    "a slot is withdrawn",
    "a slot of the list",
    "a publication",
    "time has changed an order",
    "time has given spots back",
    "INVALID_REQUEST",
    "NO_TRANSITION",
    "CONDITION_NOT_MET",
    "NOT_IN_STATE",
    "NOT_AWAITED",
    "REFUND_NOT_POSSIBLE",
    "REQUEST_ID_REUSED",
    "ORDER_CHANGED",
    "SLOT_NOT_FOUND",
    "NOT_PUBLISHED",
];

/// A difference between what was answered and what the model says.
type Agreement = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(answered: &T, expected: &T) -> Agreement {
    if answered == expected {
        return Ok(());
    }
    Err(format!("answered {answered:#?}\nexpected {expected:#?}"))
}

fn code<T>(answer: &Result<T, Status>) -> String {
    answer.as_ref().err().map(reason).unwrap_or_default()
}

impl Harness {
    async fn open(plan: &Plan, wrong: Option<Rule>) -> Self {
        let (dir, clock) = (
            TempDir::new().unwrap(),
            Arc::new(ManualClock::at(EpochSeconds::new(plan.begin))),
        );
        let catalogue = catalogue(0, plan.has_operators);
        catalogue.write(dir.path());
        let (durable, charging) = (plan.durable, plan.charging);
        let gateway = Arc::default();
        let server = start(&dir, durable, charging, (&clock, &gateway)).await;
        let mut model = ReferenceModel {
            wrong,
            charging,
            now: plan.begin,
            catalogue,
            former: HashMap::new(),
            sold: Vec::new(),
            holds: HashMap::new(),
            holdings: HashMap::new(),
            orders: Vec::new(),
            blocks: HashMap::new(),
            closed_cards: HashSet::new(),
            has_beacon: false,
            names: StateNames::first(),
            newest: None,
            forgotten: Forgotten::default(),
        };
        model.begin();
        let (sent, led_to_order, looked_at) = (Vec::new(), HashMap::new(), Vec::new());
        let (off, steps_off, seen) = (0, 0, Coverage::new());
        Self {
            dir,
            durable,
            charging,
            clock,
            off,
            steps_off,
            server,
            model,
            sent,
            led_to_order,
            looked_at,
            has_operators: plan.has_operators,
            gateway,
            answered: Vec::new(),
            requests: 0,
            publications: 0,
            beacon: String::new(),
            seen,
        }
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn note_verdict(&mut self, verdict: &OrderFulfillability) {
        self.note(verdict.result().as_str_name());
        for item in &verdict.item_fulfillability {
            self.note(item.result().as_str_name());
            self.note(item.item.as_ref().unwrap().warning_reason().as_str_name());
            if !item.ticket_type.is_empty() {
                self.note("ticket types");
            }
        }
    }

    async fn take(mut self, step: &Step) -> Result<Self, String> {
        self.put_clock_right_in_time().await;
        match step {
            Step::Check {
                cart,
                merchant,
                lines,
            } => {
                self.looked_at
                    .extend(cart.map(|cart| (cart, lines.clone())));
                self.check(*cart, *merchant, lines).await?;
            }
            Step::Renew(back) if *back < self.looked_at.len() => {
                let (cart, lines) = self.looked_at[self.looked_at.len() - 1 - back].clone();
                self.check(Some(cart), Merchant::Known, &lines).await?;
            }
            Step::Order { cart, payment } if !self.looked_at.is_empty() => {
                let (token, lines) = self.looked_at[cart % self.looked_at.len()].clone();
                let (merchant, payment) = (Merchant::Known, *payment);
                let (fees, tax) = (Fees::Right, Fees::Absent);
                let step = Step::Create {
                    token,
                    user: 0,
                    merchant,
                    lines,
                    fees,
                    tax,
                    payment,
                };
                self.create(self.request(&step)).await?;
            }
            Step::Create { .. } => {
                let request = self.request(step);
                self.sent.push(request.clone());
                self.create(request).await?;
            }
            Step::Again(nth) if !self.sent.is_empty() => {
                self.create(self.sent[nth % self.sent.len()].clone())
                    .await?;
            }
            Step::Otherwise(nth) if !self.sent.is_empty() => {
                let mut request = self.sent[nth % self.sent.len()].clone();
                let user = request
                    .order
                    .as_mut()
                    .unwrap()
                    .user_information
                    .as_mut()
                    .unwrap();
                user.telephone.push('0');
                self.create(request).await?;
            }
            Step::Renew(_) | Step::Order { .. } | Step::Again(_) | Step::Otherwise(_) => {}
            Step::ListUser(user) => {
                let listed = self.server.list_user(USERS[*user]).await.unwrap();
                if !listed.is_empty() {
                    self.note("an order on record that is listed");
                }
                same(&listed, &self.model.orders_of(USERS[*user]))?;
            }
            Step::ListIds(picks) => self.list(picks).await?,
            Step::LookUp(slots) => self.look_up(slots).await?,
            Step::Count(slot) => self.count(*slot).await?,
            Step::Replace(number) => {
                let catalogue = catalogue(*number, self.has_operators);
                catalogue.write(self.dir.path());
                self.server.server.reload().await.unwrap();
                self.model.replace(catalogue);
            }
            Step::Sleep(seconds) => self.pass(*seconds).await?,
            Step::Operators(ask) => self.ask(ask).await?,
            Step::Clock { off, then, sweeps } => {
                self = Box::pin(self.put_clock_off(*off, *then, *sweeps)).await;
            }
            Step::Restart => self = self.restart().await,
        }
        Ok(self)
    }

    async fn put_clock_off(mut self, off: i64, then: Then, sweeps: usize) -> Self {
        self.set_clock(off).await;
        match then {
            Then::Nothing => {}
            Then::Reload => drop(self.server.server.reload().await.unwrap()),
            Then::Restart => self = self.restart().await,
        }
        for _ in 0..sweeps {
            self.sweep().await;
        }
        self
    }

    async fn put_clock_right_in_time(&mut self) {
        if self.off != 0 && self.steps_off == 0 {
            self.set_clock(0).await;
            self.sweep().await;
        }
        self.steps_off = self.steps_off.saturating_sub(1);
    }

    /// Sets the clock to what is off by so many seconds. Holds whose time is over have ended for good
    /// before: whether the server still has them, and a clock that is set back finds them, is its own matter.
    async fn set_clock(&mut self, off: i64) {
        self.sweep().await;
        let by = off - self.off;
        self.clock.advance(Seconds::new(by));
        self.model.now += by;
        (self.off, self.steps_off) = (off, STEPS_OFF);
    }

    async fn sweep(&mut self) {
        self.server.server.sweep().await;
        self.model.sweep();
    }

    async fn restart(mut self) -> Self {
        self.server.stop().await;
        let shared = (&self.clock, &self.gateway);
        self.server = start(&self.dir, self.durable, self.charging, shared).await;
        self.model.begin();
        self
    }

    fn line(&self, line: &Line) -> LineItem {
        let (service_id, start_sec, duration_sec) = fixture::slots()[line.slot].clone();
        let ordered = |&(id, count): &(&str, i32)| OrderedTickets {
            ticket_id: id.into(),
            count,
        };
        let tickets = line.tickets.iter().map(ordered).collect();
        let mut item = Item(LineItem {
            service_id,
            start_sec,
            duration_sec,
            tickets,
            ..LineItem::default()
        });
        if line.slot == 3 && line.answered {
            item = item.answers(&[("first", &["true"])]);
        }
        let (right, without_deals) = self.model.quote(&item.0, &self.model.catalogue.prices);
        let mut former = self.model.catalogue.prices.clone();
        former.extend(&self.model.former);
        item.0.price = match line.price {
            Priced::Right => Some(price("USD", right)),
            Priced::WithoutDeals => Some(price("USD", without_deals)),
            Priced::Former => Some(price("USD", self.model.quote(&item.0, &former).0)),
            Priced::Off(by) => Some(price("USD", right + by)),
            Priced::Missing => None,
            Priced::Negative => Some(price("USD", -1)),
            Priced::Foreign => Some(price("EUR", right)),
        };
        item.0
    }

    async fn check(
        &mut self,
        cart: Option<usize>,
        merchant: Merchant,
        lines: &[Line],
    ) -> Agreement {
        let cart_id = cart.map(|cart| format!("t{cart}")).unwrap_or_default();
        let item: Vec<LineItem> = lines.iter().map(|line| self.line(line)).collect();
        let merchant_id = merchant_id(merchant).to_owned();
        let request = CheckOrderFulfillabilityRequest {
            merchant_id,
            item,
            cart_id,
        };
        let answer = self.server.check_request(&request).await;
        if merchant == Merchant::Unknown {
            self.note("INVALID_REQUEST");
            return same(&&*code(&answer), &"INVALID_REQUEST");
        }
        let mut answer = answer.map_err(|rejection| rejection.to_string())?.0;
        if lines
            .iter()
            .any(|line| self.model.is_forgotten(&fixture::slots()[line.slot]))
        {
            self.note("a slot that is forgotten");
        }
        let judged = self.model.judge(&request.item, &request.cart_id, false);
        let cart_expiration_sec = self.model.hold(&request.cart_id, &judged);
        if cart_expiration_sec > 0 {
            let is_whole = cart_expiration_sec == self.model.now + fixture::HOLD_SEC;
            self.note(if is_whole {
                "a hold"
            } else {
                "a hold that is cut"
            });
        }
        let verdict = judged.verdict(&request.item);
        self.note_verdict(&verdict);
        let expected = CheckOrderFulfillabilityResponse {
            fulfillability: Some(verdict),
            fees_and_taxes: Some(price("USD", judged.fee_total)),
            fees: Some(judged.fees()),
            cart_expiration_sec,
        };
        answer.fulfillability = answer.fulfillability.map(answers::plain);
        same(&answer, &expected)
    }

    fn request(&self, step: &Step) -> CreateOrderRequest {
        let Step::Create {
            token,
            user,
            merchant,
            lines,
            fees,
            tax,
            payment,
        } = step
        else {
            unreachable!()
        };
        let token = format!("t{token}");
        let items: Vec<LineItem> = lines.iter().map(|line| self.line(line)).collect();
        let judged = self.model.judge(&items, &token, true);
        let right = judged.fee_total;
        let mut request =
            order_request(&token, merchant_id(*merchant), items.into_iter().map(Item));
        let customer = request
            .order
            .as_mut()
            .unwrap()
            .user_information
            .as_mut()
            .unwrap();
        customer.user_id = USERS[*user].into();
        request = match payment {
            Payment::None => request,
            Payment::Google => {
                let payment = payment_information(&mut request);
                payment.payment_processed_by = PaymentProcessedBy::ProcessedByGoogle.into();
                payment.payment_transaction_id = "theirs".into();
                request
            }
            Payment::Provided => {
                let payment = payment_information(&mut request);
                payment.payment_processed_by = PaymentProcessedBy::ProcessedByGoogle.into();
                payment.prepayment_status = PrepaymentStatus::PrepaymentProvided.into();
                request
            }
            Payment::Partner(means) => paid_with(request, means),
            Payment::Challenged => {
                payment_information(&mut request).pa_response = "passed".into();
                paid_with(request, "3ds1")
            }
        };
        let stated_tax = match tax {
            Fees::Right => Some(judged.tax),
            Fees::Off => Some(judged.tax + 10_000),
            Fees::Absent => None,
        };
        if let Some(tax) = stated_tax {
            payment_information(&mut request).tax_amount = Some(price("USD", tax));
        }
        match fees {
            Fees::Right => stating_fees(request, "USD", right),
            Fees::Off => stating_fees(request, "USD", right + 10_000),
            Fees::Absent => request,
        }
    }

    async fn create(&mut self, request: CreateOrderRequest) -> Agreement {
        let answer = self.server.send(request.clone()).await;
        let (token, asked) = (&request.idempotency_token, request.order.as_ref().unwrap());
        if asked.item.is_empty() || asked.merchant_id != MERCHANT {
            self.note("INVALID_REQUEST");
            return same(&&*code(&answer), &"INVALID_REQUEST");
        }
        if let Some(order) = self.model.ordered(token) {
            if self.led_to_order[token] != request {
                self.note("TOKEN_REUSED");
                return same(&&*code(&answer), &"TOKEN_REUSED");
            }
            self.note("the same order");
            return same(
                &answer.map_err(|rejection| rejection.to_string())?.order(),
                &order,
            );
        }
        let created = answer.map_err(|rejection| rejection.to_string())?;
        let judged = self.model.judge(&asked.item, token, true);
        if let Some(NotCreated { failure, why }) = answers::failure(&self.model, &request, &judged)
        {
            self.note(failure.cause().as_str_name());
            self.note(why);
            self.note_verdict(&judged.verdict(&asked.item));
            if why == answers::BY_GATEWAY {
                self.model.payment_error(token);
            }
            return same(&answers::plain_failure(created)?, &failure);
        }
        if !created.is_order() {
            return Err(format!("not an order: {created:#?}"));
        }
        let order = created.order();
        if self
            .model
            .orders
            .iter()
            .any(|known| known.first.order_id == order.order_id)
        {
            return Err("the order has the id of another".into());
        }
        same(&order, &answers::placed(&self.model, asked, &order))?;
        self.note("an order");
        if judged
            .fees
            .iter()
            .filter(|fee| fee.name.starts_with(fixture::TAX_NAME))
            .count()
            > 1
        {
            self.note("an order with two taxes");
        }
        if self.model.holds.contains_key(token) {
            self.note("a hold of an order's own cart");
        }
        let means = request.payment_processing_parameters.as_ref();
        if means.is_some_and(|it| it.unparsed_payment_method_token == CLOSED_CARD) {
            self.model.closed_cards.insert(token.clone());
        }
        self.led_to_order.insert(token.clone(), request.clone());
        self.model.sell(token, order, judged);
        Ok(())
    }

    async fn list(&mut self, picks: &[usize]) -> Agreement {
        let orders = &self.model.orders;
        let picked = |pick: &usize| orders.get(pick % (orders.len() + 1));
        let unknown = || "AAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned();
        let ids = picks
            .iter()
            .map(|pick| picked(pick).map_or_else(unknown, |order| order.first.order_id.clone()));
        let mut seen = HashSet::new();
        let each_once = picks
            .iter()
            .filter_map(picked)
            .filter(|order| seen.insert(&order.first.order_id));
        let each_once = each_once.map(|order| order.listed(&self.model));
        same(
            &self.server.list_ids(ids).await.unwrap(),
            &each_once.collect(),
        )
    }

    async fn look_up(&mut self, slots: &[(usize, i32)]) -> Agreement {
        let all = fixture::slots();
        let asked = slots.iter().map(|&(at, party_size)| {
            let (service_id, start_sec, duration_sec) = all[at].clone();
            let resource_ids = Some(ResourceIds {
                party_size,
                ..ResourceIds::default()
            });
            SlotTime {
                service_id,
                start_sec,
                duration_sec,
                resource_ids,
                ..SlotTime::default()
            }
        });
        let is_enough = |&(at, party): &(usize, i32)| self.model.has_place(&all[at], party.into());
        let expected: Vec<bool> = slots.iter().map(is_enough).collect();
        if expected.contains(&true) {
            self.note("available");
        }
        same(
            &self.server.look_up(MERCHANT, asked).await.unwrap(),
            &expected,
        )
    }

    async fn count(&mut self, at: usize) -> Agreement {
        let slot = fixture::slots()[at].clone();
        let expected = self.model.spots_open(&slot, "");
        let (service_id, start_sec, duration_sec) = slot;
        let slot = Slot {
            merchant_id: MERCHANT.into(),
            service_id,
            start_sec,
            duration_sec,
            ..Slot::default()
        };
        same(
            &i64::from(self.server.count_available(slot).await.unwrap()),
            &expected,
        )
    }
}

fn merchant_id(merchant: Merchant) -> &'static str {
    match merchant {
        Merchant::Known => MERCHANT,
        Merchant::Unknown => "nowhere",
    }
}

async fn start(
    dir: &TempDir,
    durable: bool,
    charging: bool,
    (clock, gateway): (&Arc<ManualClock>, &Arc<SimulatedGateway>),
) -> TestServer {
    let mut config = operator_config();
    if !charging {
        config.sales.payments = PaymentsChoice::Off;
    }
    // No charge takes any time, except one that is never answered.
    config.sales.payment_timeout = Duration::from_millis(5);
    let mut stored = Setup::default();
    if durable {
        stored.store = Arc::new(reopened(&dir.path().join("store")).await);
    }
    Setup {
        config,
        catalog: dir.path().into(),
        clock: Arc::clone(clock),
        ..stored
    }
    .with_gateway(gateway)
    .start()
    .await
}

/// The store, once the threads of the server before have released it.
async fn reopened(dir: &Path) -> LogStore {
    let opened = async {
        loop {
            match open_store(dir) {
                Ok(store) => return store,
                Err(OpenError::InUse) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    with_timeout("the store is closed", opened).await
}

/// A step at which server and model disagree.
struct Disagreement {
    step: usize,
    what: String,
}

/// Does what is planned, and gives what was seen, or the first disagreement.
async fn follow(plan: Plan, wrong: Option<Rule>) -> Result<Coverage, Disagreement> {
    let at = Arc::new(AtomicUsize::new(0));
    let taking = Arc::clone(&at);
    let followed = tokio::spawn(async move {
        let mut harness = Harness::open(&plan, wrong).await;
        for (step, what) in plan.steps.iter().enumerate() {
            taking.store(step, Ordering::SeqCst);
            // On the heap: it is as large as all that the steps await.
            harness = Box::pin(harness.take(what)).await?;
        }
        if plan.has_operators {
            Box::pin(harness.compare_all()).await?;
        }
        harness.server.stop().await;
        Ok::<Coverage, String>(harness.seen)
    });
    // An invariant of responses may have failed, too.
    let followed = followed
        .await
        .unwrap_or_else(|panic| Err(panic.to_string()));
    followed.map_err(|what| Disagreement {
        step: at.load(Ordering::SeqCst),
        what,
    })
}

/// Leaves out of a plan what is not needed for a disagreement.
async fn shrunk(
    mut plan: Plan,
    wrong: Option<Rule>,
    mut found: Disagreement,
) -> (Plan, Disagreement) {
    plan.steps.truncate(found.step + 1);
    let mut size = plan.steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at + size < plan.steps.len() {
            let mut fewer = plan.clone();
            fewer.steps.drain(at..at + size);
            match follow(fewer.clone(), wrong).await {
                Err(still) => {
                    fewer.steps.truncate(still.step + 1);
                    (plan, found) = (fewer, still);
                }
                Ok(_) => at += size,
            }
        }
        size /= 2;
    }
    (plan, found)
}

/// Follows a plan for each seed, and sees whether all there is to be seen was.
async fn must_agree(plans: impl IntoIterator<Item = (u64, Plan)>, expected: &[&str]) {
    let mut all = Coverage::new();
    for (seed, plan) in plans {
        match follow(plan.clone(), None).await {
            Ok(seen) => seen
                .into_iter()
                .for_each(|(what, count)| *all.entry(what).or_default() += count),
            Err(found) => {
                let (plan, found) = shrunk(plan, None, found).await;
                panic!("seed {seed}: {plan:#?}\n{}", found.what);
            }
        }
    }
    eprintln!("{all:#?}");
    let unseen: Vec<_> = expected
        .iter()
        .filter(|what| !all.contains_key(*what))
        .collect();
    assert!(unseen.is_empty(), "never seen: {unseen:?}");
}

fn plans(usual_rounds: u64, durable: bool) -> impl Iterator<Item = (u64, Plan)> {
    seeds(usual_rounds).map(move |seed| (seed, Plan::of(seed, STEPS, durable)))
}

#[tokio::test]
async fn server_and_model_agree_on_every_answer() {
    must_agree(plans(6, false), &EXPECTED_COVERAGE).await;
}

#[tokio::test]
async fn server_and_model_agree_also_over_restarts() {
    must_agree(plans(4, true), &EXPECTED_COVERAGE).await;
}

#[tokio::test]
async fn server_and_model_agree_while_the_clock_jumps_and_is_put_right() {
    for durable in [false, true] {
        let with_clocks = plans(8, durable).map(|(seed, plan)| (seed, plan.with_clocks(seed)));
        must_agree(with_clocks, &EXPECTED_COVERAGE_WITH_CLOCKS).await;
    }
}

#[tokio::test]
async fn server_and_model_agree_while_operators_change_orders_and_publish_lifecycles() {
    let plans = plans(6, false).chain(plans(4, true));
    let with_operators = plans.map(|(seed, plan)| (seed, plan.with_operators(seed)));
    must_agree(with_operators, &EXPECTED_COVERAGE_WITH_OPERATORS).await;
}

const STEPS: usize = 250;

/// Searches for a plan that detects a wrong rule. Returns it with the number of steps so far.
async fn detect(rule: Rule) -> Option<(Plan, Disagreement, usize)> {
    let mut steps = 0;
    for seed in 0..80 {
        let plan = Plan::of(seed, STEPS, false);
        let plan = if rule.is_about_clocks() {
            plan.with_clocks(seed)
        } else if rule.is_about_operators() {
            plan.with_operators(seed)
        } else {
            plan
        };
        match follow(plan.clone(), Some(rule)).await {
            Err(found) => return Some((plan, found, steps)),
            Ok(_) => steps += STEPS,
        }
    }
    None
}

/// The negative control: a model that gets one rule wrong disagrees with the server.
#[tokio::test]
async fn a_model_with_a_wrong_rule_is_detected() {
    for rule in Rule::ALL {
        let found = detect(rule).await;
        let (_, found, before) = found.unwrap_or_else(|| panic!("{rule:?} is not detected"));
        eprintln!("{rule:?}: detected after {} steps", before + found.step + 1);
    }
}

#[tokio::test]
async fn a_disagreement_is_shrunk_to_the_steps_that_cause_it() {
    let rule = Rule::NewestFirst;
    let (plan, found, _) = detect(rule).await.unwrap();
    let (plan, _) = shrunk(plan, Some(rule), found).await;
    assert!(
        matches!(plan.steps.last(), Some(Step::ListUser(_))),
        "{plan:#?}"
    );
    assert!(
        plan.steps.len() <= 8,
        "two orders, perhaps of carts, and a list would do: {plan:#?}"
    );
}
