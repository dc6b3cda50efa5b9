//! A manager's week from the command line, with a kill between any two of its steps: money and spots add up after each.

use futures_util::{StreamExt, stream};
use tempfile::TempDir;

use boxoffice::api::booking::proto::v3::{
    booking_service_client::BookingServiceClient, create_order_response::Result as CreateResult,
};

use crate::support::{
    back_office::{BackOffice, refunded},
    booked_server::Plan,
    museum_visit,
    process::{Program, Running, until},
    request_id, sample_catalog,
};

const DAY: i64 = 86_400;

/// Weeks at once.
const AT_ONCE: usize = 3;

/// The customers: each has bought two tickets for ten in the morning, for 50 dollars, and one for two in the afternoon, for
/// 25 dollars.
const CUSTOMERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What a manager does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Sell,
    ListToday,
    FindByName,
    CancelTicket,
    Refund,
    NoShow,
    /// The whole afternoon, and whatever was sold of it.
    Withdraw,
    Amend,
    /// Two of those who are asked want nothing any more.
    CancelOrders,
    Note,
    /// A customer does not decide within a day.
    TimeOut,
    DoorList,
    Capacity,
}

/// The steps, with what is given back by then, in cents, and the spots that are sold by then at ten and at two.
const STEPS: [(Step, i64, [u32; 2]); 13] = [
    (Step::Sell, 0, [12, 6]),
    (Step::ListToday, 0, [12, 6]),
    (Step::FindByName, 0, [12, 6]),
    (Step::CancelTicket, 2_500, [12, 5]),
    (Step::Refund, 3_750, [12, 5]),
    (Step::NoShow, 3_750, [12, 5]),
    (Step::Withdraw, 3_750, [12, 0]),
    (Step::Amend, 8_750, [12, 0]),
    (Step::CancelOrders, 22_500, [8, 0]),
    (Step::Note, 22_500, [8, 0]),
    (Step::TimeOut, 30_000, [6, 0]),
    (Step::DoorList, 30_000, [6, 0]),
    (Step::Capacity, 30_000, [6, 0]),
];

/// When the server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Never,
    After(Step),
    AfterEach,
}

struct Week {
    plan: Plan,
    /// `None` only while it is restarted.
    server: Option<Running>,
    office: BackOffice,
    /// The ids of the orders, by customer.
    orders: Vec<String>,
    /// The changes so far, with what the program said.
    made: Vec<(Vec<String>, String)>,
    _dir: TempDir,
}

impl Week {
    async fn begin() -> Self {
        let dir = TempDir::new().unwrap();
        let plan = Plan::of(&sample_catalog(), dir.path());
        let (server, office) = started(&plan).await;
        Self {
            plan,
            server: Some(server),
            office,
            orders: Vec::new(),
            made: Vec::new(),
            _dir: dir,
        }
    }

    /// Kills the server and starts it again.
    async fn kill(&mut self) {
        // First: the store is locked while it runs.
        self.server.take().unwrap().kill().await;
        let (server, office) = started(&self.plan).await;
        (self.server, self.office) = (Some(server), office);
    }

    /// The output of a command.
    async fn said(&self, words: &[&str]) -> String {
        let server = format!("--server=http://{}", self.office.0);
        let ended = Program::new().args(words).args([&*server]).run().await;
        assert_eq!(ended.code(), 0, "{words:?}: {}", ended.text());
        ended.text()
    }

    /// Makes a change of a customer's order.
    async fn change(&mut self, customer: usize, command: &str, more: &[&str]) {
        let order = self.orders[customer].clone();
        self.ask(&[&["orders", command, &order], more].concat())
            .await;
    }

    /// Makes a change, under a request id of its own.
    async fn ask(&mut self, words: &[&str]) {
        let request = request_id(u32::try_from(self.made.len()).unwrap() + 1);
        let words = [words, &["--request-id", &request]].concat();
        let output = self.said(&words).await;
        let words = words.into_iter().map(str::to_owned).collect();
        self.made.push((words, output));
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Sell => self.sell().await,
            Step::ListToday => {
                let words = ["orders", "list", "--date=2026-01-16", "--csv"];
                let listed = self.said(&words).await;
                assert_eq!(listed.lines().count(), 1 + CUSTOMERS.len(), "{listed}");
            }
            Step::FindByName => {
                let words = ["orders", "list", "--name=lovelace-b", "--customer", "--csv"];
                let found = self.said(&words).await;
                let lines: Vec<&str> = found.lines().skip(1).collect();
                assert!(
                    lines.len() == 1 && lines[0].starts_with(&self.orders[1]),
                    "{found}"
                );
            }
            Step::CancelTicket => {
                let more = ["--item=1", "--refund=full", "--reason=ill"];
                self.change(0, "cancel", &more).await;
            }
            Step::Refund => {
                let more = ["--refund=12.50USD", "--reason=cold coffee"];
                self.change(1, "refund", &more).await;
            }
            Step::NoShow => self.change(0, "no-show", &["--item=0"]).await,
            Step::Withdraw => {
                let words = [
                    "orders",
                    "withdraw",
                    "--merchant=museum",
                    "--service=museum-entry",
                    "--start=2026-01-16T14:00:00Z",
                    "--reason=flooded",
                ];
                self.ask(&words).await;
            }
            Step::Amend => {
                for customer in [2, 3] {
                    self.change(customer, "customer-action", &["amend"]).await;
                }
            }
            Step::CancelOrders => {
                for customer in [1, 5] {
                    self.change(customer, "customer-action", &["cancel"]).await;
                }
            }
            Step::Note => self.change(3, "note", &["asked for a quiet corner"]).await,
            Step::TimeOut => {
                self.plan.now_sec += DAY;
                self.kill().await;
                let name = format!("orders/{}", self.orders[4]);
                until("a time-out", async || {
                    self.office.order(&name).await.state == "timed_out"
                })
                .await;
            }
            Step::DoorList => self.list_door().await,
            Step::Capacity => self.list_capacity().await,
        }
    }

    async fn sell(&mut self) {
        let mut client = BookingServiceClient::new(self.server.as_ref().unwrap().connect().await);
        for customer in CUSTOMERS {
            let created = client.create_order(museum_visit(customer, "approve")).await;
            let result = created.unwrap().into_inner().result;
            let Some(CreateResult::Order(order)) = result else {
                panic!("{result:?}");
            };
            self.orders.push(order.order_id);
        }
    }

    /// Those who come at ten: everybody but whose order is cancelled or timed out.
    async fn list_door(&self) {
        let words = [
            "door-list",
            "--merchant=museum",
            "--service=museum-entry",
            "--start=2026-01-16T10:00:00Z",
            "--csv",
        ];
        let listed = self.said(&words).await;
        let names: Vec<&str> = listed
            .lines()
            .skip(1)
            .map(|line| line.split(',').next().unwrap())
            .collect();
        let expected = ["Lovelace-a", "Lovelace-c", "Lovelace-d"];
        assert_eq!(names, expected, "{listed}");
    }

    /// Nothing of the day after is sold.
    async fn list_capacity(&self) {
        let words = [
            "slots",
            "list",
            "--merchant=museum",
            "--service=museum-entry",
            "--date=2026-01-17",
            "--csv",
        ];
        let listed = self.said(&words).await;
        let morning = listed.lines().find(|line| line.contains(" 10:00 "));
        let morning = morning.unwrap_or_else(|| panic!("{listed}"));
        assert!(morning.contains(",50,0,0,0,50"), "{listed}");
    }

    /// Repeats all requests: each has the answer that it had, and changes nothing more.
    async fn repeat(&self) {
        for (words, output) in &self.made {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(&self.said(&words).await, output, "{words:?}");
        }
    }

    /// Checks that money and spots add up, and to what.
    async fn check(&self, cents: i64, sold: [u32; 2], case: &str) {
        let dates = ["2026-01-16", "2026-01-17"].map(str::to_owned);
        let found = self.office.contradictions(&self.plan, "museum", &dates);
        assert_eq!(found.await, [], "{case}");
        let orders = self.office.orders().await;
        assert_eq!(orders.len(), self.orders.len(), "{case}");
        let given: i64 = orders.iter().map(refunded).sum();
        assert_eq!(given, cents * 10_000, "{case}");
        let slots = self.office.slots("museum", &dates[0]).await;
        let mut at = Vec::new();
        for hour in [10, 14] {
            let slot = slots.iter().find(|slot| {
                let name = slot.name.as_ref().unwrap();
                let start = name.start_time.as_ref().unwrap().seconds;
                name.service_id == "museum-entry" && start % DAY == hour * 3_600
            });
            at.push(slot.unwrap().sold);
        }
        assert_eq!(at, sold, "{case}");
    }

    /// The states in which the orders end.
    async fn check_states(&self, case: &str) {
        let expected = [
            ("processing", ["no_show", "cancelled"]),
            ("cancelled", ["cancelled", "cancelled"]),
            ("processing", ["confirmed", "cancelled"]),
            ("processing", ["confirmed", "cancelled"]),
            ("timed_out", ["cancelled", "cancelled"]),
            ("cancelled", ["cancelled", "cancelled"]),
        ];
        for (id, (state, items)) in self.orders.iter().zip(expected) {
            let order = self.office.order(&format!("orders/{id}")).await;
            let found: Vec<&str> = order.items.iter().map(|item| &*item.state).collect();
            assert_eq!((&*order.state, &found[..]), (state, &items[..]), "{case}");
        }
    }
}

async fn started(plan: &Plan) -> (Running, BackOffice) {
    let mut server = plan.program().start().await;
    let office = BackOffice(server.operator_address().await);
    (server, office)
}

async fn play(kill: Kill) {
    let mut week = Week::begin().await;
    for (step, cents, sold) in STEPS {
        week.take(step).await;
        let case = format!("{step:?}, killed: {kill:?}");
        if kill == Kill::AfterEach || kill == Kill::After(step) {
            // At once: refunds may be under way.
            week.kill().await;
            week.repeat().await;
        }
        week.check(cents, sold, &case).await;
    }
    week.repeat().await;
    week.check_states(&format!("killed: {kill:?}")).await;
    week.server.unwrap().kill().await;
}

#[tokio::test]
async fn a_week_adds_up_wherever_the_server_is_killed() {
    let mut kills = vec![Kill::Never, Kill::AfterEach];
    kills.extend(STEPS.map(|(step, ..)| Kill::After(step)));
    let weeks = stream::iter(kills).map(play);
    weeks.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}
