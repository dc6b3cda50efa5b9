//! Search of orders for those who run the box office: any combination of conditions, page by page.
//!
//! One condition selects the orders that the store hands over, and all conditions are checked on each of them, so that a
//! better selection changes no answer.

use std::{
    collections::HashMap,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use jiff::{civil::Date, tz::TimeZone};

use super::{App, MerchantScope, OrderError, days::AskedDay, lifecycle::ActiveLifecycle};
use crate::audit::AuditEvent;
use domain::{
    catalog::Catalog,
    ids::{MerchantId, ServiceId, UserId},
    lifecycle::{Definition, Entity, Spots},
    order::{BookedItem, BookingStatus, Customer, OrderId},
    time::{EpochSeconds, Seconds},
};
use kernel::blocking;
use store::{ListedOrder, OrderPlace, OrderUpdate, Selection, SlotName, StoredOrder};

/// Most orders that are looked at for one page. A search that finds little ends its page here, so that it does not keep
/// the disk busy for long.
const MAX_EXAMINED: usize = 50_000;

/// The longest time between a moment in UTC and the same time of day in another zone, and a day for the day itself.
const ZONE_MARGIN: Seconds = Seconds::new(15 * 3_600);

/// The same and a day, where the date itself follows from the zone.
const NAMED_DAY_MARGIN: Seconds = Seconds::new(39 * 3_600);

/// Conditions of a search. An order is found if it meets all that are set.
#[derive(Debug, Clone, Default)]
pub struct OrderSearch {
    /// An item is on this day in the time zone of the merchant.
    pub visit_date: Option<AskedDay>,
    /// The merchant.
    pub merchant_id: Option<MerchantId>,
    /// An item is of this service.
    pub service_id: Option<ServiceId>,
    /// An item starts at this time.
    pub slot_start_sec: Option<EpochSeconds>,
    /// The order is in one of these states; empty for any.
    pub states: Vec<String>,
    /// The caller's id of the customer.
    pub user_id: Option<UserId>,
    /// Part of the customer's name in small letters.
    pub customer_name: Option<String>,
    /// The customer's e-mail address in small letters.
    pub email: Option<String>,
    /// The beginning of the order's id.
    pub order_id_prefix: Option<String>,
    /// Created at this second or later.
    pub created_from: Option<EpochSeconds>,
    /// Created before this second.
    pub created_until: Option<EpochSeconds>,
    /// The order needs a person.
    pub needs_attention: bool,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct OrderPage {
    /// Most orders.
    pub most: usize,
    /// Only orders that were committed before the one at this place.
    pub before: Option<OrderPlace>,
}

/// A page of orders.
#[derive(Debug, Default)]
pub struct FoundOrders {
    /// The orders, newest first.
    pub orders: Vec<ListedOrder>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<OrderPlace>,
}

impl App {
    /// The order of an id, if there is one in the scope.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn find_order(
        self: &Arc<Self>,
        id: OrderId,
        scope: &MerchantScope,
    ) -> Result<Option<ListedOrder>, OrderError> {
        let mut found = self.select(Selection::Ids(vec![id]), scope).await?;
        Ok(found.pop())
    }

    /// The orders with a claim on a slot, newest first; none of a slot outside of the scope.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn orders_of_slot(
        self: &Arc<Self>,
        slot: SlotName,
        scope: &MerchantScope,
    ) -> Result<Vec<ListedOrder>, OrderError> {
        self.select(Selection::Slot(slot), scope).await
    }

    /// The updates of an order, newest first.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn updates_of(self: &Arc<Self>, id: OrderId) -> Result<Vec<OrderUpdate>, OrderError> {
        let app = Arc::clone(self);
        let read = move || {
            let mut updates = Vec::new();
            let read = app.store.history(&id, &mut |update| {
                updates.push(update);
                ControlFlow::Continue(())
            });
            read.map(|()| updates)
        };
        let read = blocking::run(read).await?;
        read.map_err(|error| self.read_failed(&error))
    }

    /// The newest change up to an order as it stands here that took back items of it: by whom it was cancelled, withdrawn or
    /// declined, and why.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn cancellation_of(
        self: &Arc<Self>,
        stored: &StoredOrder,
    ) -> Result<Option<OrderUpdate>, OrderError> {
        let Some(newest) = &stored.update else {
            return Ok(None);
        };
        // First, because that of a dry run is not on record.
        if takes_back(newest) {
            return Ok(Some(newest.clone()));
        }
        let mut items = newest.tree.items.iter();
        // The history need not be read of the many orders that have all of their items.
        if items.all(|item| item.spots == Spots::Held) {
            return Ok(None);
        }
        let (app, id, revision) = (Arc::clone(self), newest.order.clone(), newest.revision);
        let read = move || {
            let mut found = None;
            let read = app.store.history(&id, &mut |update| {
                if update.revision < revision && takes_back(&update) {
                    found = Some(update);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            read.map(|()| found)
        };
        let read = blocking::run(read).await?;
        read.map_err(|error| self.read_failed(&error))
    }

    async fn select(
        self: &Arc<Self>,
        selection: Selection,
        scope: &MerchantScope,
    ) -> Result<Vec<ListedOrder>, OrderError> {
        let scope = scope.clone();
        let is_met = move |listed: &ListedOrder| scope.has(&listed.order.merchant_id);
        let page = OrderPage {
            most: usize::MAX,
            before: None,
        };
        let found = self.read_page(selection, PageReader::new(page, usize::MAX, is_met));
        Ok(found.await?.orders)
    }

    /// A page of the orders of the scope that meet all conditions, newest first. It may have fewer orders than wanted although there
    /// are more.
    ///
    /// # Errors
    /// [`OrderError::Unreadable`], [`OrderError::NoThread`].
    pub async fn search(
        self: &Arc<Self>,
        search: OrderSearch,
        page: OrderPage,
        scope: MerchantScope,
    ) -> Result<FoundOrders, OrderError> {
        let now = self.now();
        let selection = search.selection(now);
        let zones = Zones::of(&self.catalog());
        let lifecycle = self.lifecycle();
        let is_met = move |listed: &ListedOrder| {
            scope.has(&listed.order.merchant_id)
                && search.is_met_by(listed, (&zones, now), &lifecycle)
                && (!search.needs_attention || needs_attention(listed, lifecycle.definition()))
        };
        self.read_page(selection, PageReader::new(page, MAX_EXAMINED, is_met))
            .await
    }

    /// Reads a page on a blocking thread, because it may wait for the disk.
    async fn read_page<F>(
        self: &Arc<Self>,
        selection: Selection,
        mut reader: PageReader<F>,
    ) -> Result<FoundOrders, OrderError>
    where
        F: Fn(&ListedOrder) -> bool + Send + 'static,
    {
        let app = Arc::clone(self);
        let read = move || {
            let lifecycle = app.lifecycle();
            let before = reader.page.before;
            let read = app
                .store
                .list(&selection, before, &|_| true, &mut |mut listed| {
                    lifecycle.present_listed(&mut listed);
                    reader.take(listed)
                });
            read.map(|()| reader.found)
        };
        let found = blocking::run(read).await?;
        let found = found.map_err(|error| self.read_failed(&error))?;
        if self.audit.is_on() {
            let ids: Vec<OrderId> = found.orders.iter().map(|it| it.order.id.clone()).collect();
            self.audit.record(AuditEvent::OrdersListed(&ids));
        }
        Ok(found)
    }
}

/// Whether an update took back items of its order.
fn takes_back(update: &OrderUpdate) -> bool {
    !update.entry.released_items.is_empty()
}

/// Collects the orders of a page.
struct PageReader<F> {
    page: OrderPage,
    is_met: F,
    /// How many more orders are looked at.
    left: usize,
    found: FoundOrders,
    last: Option<OrderPlace>,
}

impl<F: Fn(&ListedOrder) -> bool> PageReader<F> {
    fn new(page: OrderPage, most_examined: usize, is_met: F) -> Self {
        Self {
            page,
            is_met,
            left: most_examined,
            found: FoundOrders::default(),
            last: None,
        }
    }

    fn take(&mut self, listed: ListedOrder) -> ControlFlow<()> {
        if self.left == 0 {
            self.found.next = self.last;
            return ControlFlow::Break(());
        }
        self.left -= 1;
        if (self.is_met)(&listed) {
            // The order after a full page is only the sign that there is one.
            if self.found.orders.len() == self.page.most {
                self.found.next = self.last;
                return ControlFlow::Break(());
            }
            self.last = Some(listed.place);
            self.found.orders.push(listed);
        } else {
            self.last = Some(listed.place);
        }
        ControlFlow::Continue(())
    }
}

impl OrderSearch {
    /// The selection of the condition that is met by the fewest orders as a rule.
    fn selection(&self, now: EpochSeconds) -> Selection {
        if let Some(user_id) = &self.user_id {
            return Selection::User(user_id.clone());
        }
        if let (Some(merchant_id), Some(service_id), Some(start_sec)) =
            (&self.merchant_id, &self.service_id, self.slot_start_sec)
        {
            return Selection::Slot(SlotName {
                merchant_id: merchant_id.clone(),
                service_id: service_id.clone(),
                start_sec,
                duration_sec: None,
            });
        }
        if let Some(from) = self.slot_start_sec {
            let until = from.saturating_add(Seconds::ONE);
            return Selection::Visit { from, until };
        }
        // The merchant's zone is not known yet, and no zone is further away.
        if let Some(day) = self.visit_date.and_then(|day| widest(day, now)) {
            return Selection::Visit {
                from: day.start,
                until: day.end,
            };
        }
        Selection::Created {
            from: self.created_from.unwrap_or(EpochSeconds::MIN),
            until: self.created_until.unwrap_or(EpochSeconds::MAX),
        }
    }

    fn is_met_by(
        &self,
        listed: &ListedOrder,
        (zones, now): (&Zones, EpochSeconds),
        lifecycle: &ActiveLifecycle,
    ) -> bool {
        let ListedOrder {
            order, created_sec, ..
        } = listed;
        let is_created_then = self.created_from.is_none_or(|from| from <= *created_sec)
            && self.created_until.is_none_or(|until| *created_sec < until);
        let has_id = self
            .order_id_prefix
            .as_ref()
            .is_none_or(|prefix| order.id.as_str().starts_with(prefix));
        let is_of_merchant = self
            .merchant_id
            .as_ref()
            .is_none_or(|merchant_id| order.merchant_id == *merchant_id);
        let is_in_state = self.states.is_empty()
            || self
                .states
                .iter()
                .any(|it| it == state_of(listed, lifecycle));
        let is_met = is_created_then && has_id && is_of_merchant && is_in_state;
        if !(is_met && self.is_of_customer(&order.customer)) {
            return false;
        }
        let zone = zones.zone(&order.merchant_id);
        let day = self
            .visit_date
            .map(|asked| day(asked.date(now, zone).ok()?, zone));
        order
            .items
            .iter()
            .any(|item| self.has_item(item, day.as_ref()))
    }

    fn is_of_customer(&self, customer: &Customer) -> bool {
        let is_user = self
            .user_id
            .as_ref()
            .is_none_or(|user_id| customer.user_id == *user_id);
        let has_email = self
            .email
            .as_ref()
            .is_none_or(|email| customer.email.to_lowercase() == *email);
        let has_name = self.customer_name.as_ref().is_none_or(|part| {
            let name = format!("{} {}", customer.given_name, customer.family_name);
            name.to_lowercase().contains(part)
        });
        is_user && has_email && has_name
    }

    /// Whether one item meets all conditions on items. `day` is the visit date; `None` within it if the calendar has no
    /// such day.
    fn has_item(&self, item: &BookedItem, day: Option<&Option<Range<EpochSeconds>>>) -> bool {
        let line = &item.line;
        let is_of_service = self
            .service_id
            .as_ref()
            .is_none_or(|service_id| line.service_id == *service_id);
        let starts_then = self
            .slot_start_sec
            .is_none_or(|start_sec| line.start_sec == start_sec);
        let is_on_day = day.is_none_or(|day| {
            day.as_ref()
                .is_some_and(|day| day.contains(&line.start_sec))
        });
        is_of_service && starts_then && is_on_day
    }
}

/// The state of an order.
#[must_use]
pub fn state_of<'l>(listed: &'l ListedOrder, lifecycle: &'l ActiveLifecycle) -> &'l str {
    let state = match listed.tree() {
        Some(tree) => &tree.state,
        None => &lifecycle.placed(listed).order,
    };
    state.as_str()
}

/// Whether an order has an alert or a step that was given up, or waits for an answer of its customer or of the merchant.
fn needs_attention(listed: &ListedOrder, lifecycle: &Definition) -> bool {
    let Some(tree) = listed.tree() else {
        let mut items = listed.order.items.iter();
        return items.any(|item| item.status == BookingStatus::PendingMerchantConfirmation);
    };
    let waits_for_merchant = tree.items.iter().any(|item| {
        let status = lifecycle.booking_status(item.state.as_str());
        status == Some(BookingStatus::PendingMerchantConfirmation)
    });
    let state = lifecycle.entity(Entity::Order).state(tree.state.as_str());
    // Only an order that has lost items can be amended.
    let waits_for_customer = state.is_some_and(|state| {
        let amended = lifecycle.manual(Entity::Order, state, lifecycle.verbs.amend);
        amended.is_some()
    });
    let has_failed = !tree.alerts.is_empty() || !tree.given_up.is_empty();
    has_failed || waits_for_merchant || waits_for_customer
}

/// The time zones of the merchants.
#[derive(Debug)]
pub struct Zones {
    of_merchants: HashMap<MerchantId, TimeZone>,
    utc: TimeZone,
}

impl Zones {
    /// The zones of all merchants of a catalogue.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let mut of_merchants = HashMap::new();
        for merchant in catalog.merchants() {
            // The catalogue was read with the same database of time zones.
            if let Ok(zone) = TimeZone::get(&merchant.time_zone) {
                of_merchants.insert(merchant.id.clone(), zone);
            }
        }
        Self {
            of_merchants,
            utc: TimeZone::UTC,
        }
    }

    /// The zone of a merchant; UTC for one that has left the catalogue.
    #[must_use]
    pub fn zone(&self, merchant_id: &MerchantId) -> &TimeZone {
        self.of_merchants.get(merchant_id).unwrap_or(&self.utc)
    }
}

/// All seconds that are on that day in some time zone; `None` at the end of the calendar.
fn widest(asked: AskedDay, now: EpochSeconds) -> Option<Range<EpochSeconds>> {
    let date = asked.date(now, &TimeZone::UTC).ok()?;
    let in_utc = day(date, &TimeZone::UTC)?;
    let margin = match asked {
        AskedDay::Date(_) => ZONE_MARGIN,
        AskedDay::InDays(_) => NAMED_DAY_MARGIN,
    };
    let (from, until) = (
        in_utc.start.saturating_sub(margin),
        in_utc.end.saturating_add(margin),
    );
    Some(from..until)
}

/// The seconds of a day in a time zone, which may have other than 24 hours; `None` at the end of the calendar.
#[must_use]
pub fn day(date: Date, zone: &TimeZone) -> Option<Range<EpochSeconds>> {
    let begin = |date: Date| {
        let midnight = date.to_zoned_datetime(zone.clone()).ok()?;
        // In some zones a change of the clock skips midnight.
        let start = midnight.start_of_day().ok()?;
        Some(EpochSeconds::new(start.timestamp().as_second()))
    };
    Some(begin(date)?..begin(date.tomorrow().ok()?)?)
}
