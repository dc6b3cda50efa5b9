//! One call of the operator's services, whatever its transport: permit, deadline, conversion to the use case and back.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    changes::{self, ChangeMessage, IdentifiedRequest},
    customers::MAX_EXPORTS,
    masks::{OrderMask, may_see_customers},
    proto::v1,
    query::JsonRequest,
    requests::{self, AskedOrder, AskedPage, AskedSearch, AskedSlots},
    to_proto::{self, AttemptsShown, CustomerShown, TypedTexts, View},
};
use crate::{
    api::{
        booking::schema::Described,
        calls::{Calls, Reply, user},
        error::ApiError,
        responses::{Encoding, ResponseFormat, ResponseMessage},
        streamed::{self, Messages, StreamedReply},
    },
    net::request_bodies::ReceivedMessage,
};
use domain::{
    catalog::Catalog,
    ids::{MerchantId, ServiceId},
    lifecycle::Entity,
};
use kernel::rpc::OperatorRpc;
use orders::{
    App, MerchantScope,
    audit::AuditEvent,
    known::{AskedNames, KnownNames},
    search::{Zones, day},
    slots::SlotSearch,
    update::ChangeError,
};
use store::{SlotBlock, StoredOrder};

/// Runs calls of the operator's services.
#[derive(Debug, Clone)]
pub struct OperatorDispatcher {
    pub(super) app: Arc<App>,
    pub(super) limits: CallLimits,
    pub(super) exports: Arc<Semaphore>,
}

/// The limits of calls.
#[derive(Debug, Clone)]
pub struct CallLimits {
    /// Those of calls that end by themselves.
    pub calls: Calls,
    /// Those of calls that watch, which take no permit of the others.
    pub watches: Calls,
    /// Cancelled when the server drains: then watches end.
    pub draining: CancellationToken,
}

/// A request as its transport has it.
#[derive(Debug)]
pub enum EncodedRequest {
    /// A protocol buffer, counted against the byte budget.
    Protobuf(ReceivedMessage),
    /// A JSON object, or the parameters of a URL.
    Json(JsonRequest),
}

/// The answer of a call.
#[derive(Debug)]
pub enum CallAnswer {
    /// One message.
    Unary(Reply),
    /// Any number of messages.
    Stream(StreamedReply),
}

impl EncodedRequest {
    fn bytes(&self) -> usize {
        match self {
            Self::Protobuf(message) => message.bytes().len(),
            // No request of this form is long.
            Self::Json(_) => 0,
        }
    }

    pub(super) fn read<M: Described>(self) -> Result<M, ApiError> {
        match self {
            Self::Protobuf(message) => {
                let decoded = M::decode(message.bytes().clone());
                decoded.map_err(|error| ApiError::Malformed(error.to_string()))
            }
            Self::Json(request) => request.read(),
        }
    }

    /// The same of a request with an id, which has one form from here on: UUIDs are equal in either letter case.
    pub(super) fn read_identified<M: IdentifiedRequest>(self) -> Result<M, ApiError> {
        let mut message: M = self.read()?;
        message.request_id_mut().make_ascii_lowercase();
        Ok(message)
    }
}

impl OperatorDispatcher {
    /// A dispatcher to the application within these limits.
    #[must_use]
    pub fn new(app: Arc<App>, limits: CallLimits) -> Self {
        Self {
            app,
            limits,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
        }
    }

    /// Handles a call whose message has arrived. `timeout` is that of its caller.
    ///
    /// # Errors
    /// [`ApiError`], if there is no response of the service.
    #[expect(clippy::too_many_lines, reason = "one arm for each method")]
    pub async fn dispatch(
        &self,
        rpc: OperatorRpc,
        request: EncodedRequest,
        encoding: Encoding,
        timeout: Option<Duration>,
    ) -> Result<CallAnswer, ApiError> {
        let calls = &self.limits.calls;
        let (deadline, responses) = (calls.deadline(timeout), calls.responses());
        // Before any work: where there is no room for the response, none is begun.
        let format = responses.format(encoding, request.bytes())?;
        match rpc {
            OperatorRpc::GetOrder => {
                let work = self.get_order(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::WatchOrder => self.watch_order(request, encoding, timeout).await,
            OperatorRpc::SearchOrders => {
                let work = self.search_orders(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListHistory => {
                let work = self.list_history(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListSlots => {
                let work = self.list_slots(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListDoor => {
                let work = self.list_door(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListBlocks => {
                let work = async { self.list_blocks(request) };
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::SetBlock => {
                let work = self.set_block(request, deadline);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::GetStats => {
                let work = self.get_stats(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListSteps => {
                let work = self.list_steps(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::CancelOrder => {
                self.change::<v1::CancelOrderRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::RefundItems => {
                self.change::<v1::RefundItemsRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::WithdrawItems => self.withdraw(request, encoding, deadline).await,
            OperatorRpc::CustomerAction => {
                self.change::<v1::CustomerActionRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::ConfirmItems => {
                self.change::<v1::ConfirmItemsRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::MarkNoShow => {
                self.change::<v1::MarkNoShowRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::AddNote => {
                self.change::<v1::AddNoteRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::RetryStep => {
                self.change::<v1::RetryStepRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::ChangeState => {
                self.change::<v1::ChangeStateRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::AbandonStep => {
                self.change::<v1::AbandonStepRequest>(request, deadline, format)
                    .await
            }
            OperatorRpc::ExportCustomer => self.export_customer(request, encoding, deadline).await,
            OperatorRpc::EraseCustomer => {
                let work = self.erase_customer(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::DescribeLifecycle => {
                let work = async { self.describe_lifecycle(request) };
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::GetDraft => {
                let work = self.get_draft(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::PutDraft => {
                let work = self.put_draft(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::DiscardDraft => {
                let work = self.discard_draft(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::PublishDraft => {
                let work = self.publish_draft(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::ListRevisions => {
                let work = async { self.list_revisions(request) };
                self.answer(rpc, deadline, format, work).await
            }
        }
    }

    async fn answer<M: ResponseMessage + 'static>(
        &self,
        rpc: OperatorRpc,
        deadline: Instant,
        format: ResponseFormat,
        work: impl Future<Output = Result<M, ApiError>> + Send,
    ) -> Result<CallAnswer, ApiError> {
        let work = pin!(async {
            let response = work.await?;
            self.limits.calls.responses().write(response, format).await
        });
        let reply = self.limits.calls.run(rpc.name(), deadline, work).await?;
        Ok(CallAnswer::Unary(reply))
    }

    /// Answers a request that changes an order.
    async fn change<M: ChangeMessage>(
        &self,
        request: EncodedRequest,
        deadline: Instant,
        format: ResponseFormat,
    ) -> Result<CallAnswer, ApiError> {
        let message = request.read_identified()?;
        let work = self.clone().changed::<M>(message, deadline);
        self.answer(M::RPC, deadline, format, work).await
    }

    /// Changes an order.
    pub(super) async fn changed<M: ChangeMessage>(
        self,
        message: M,
        deadline: Instant,
    ) -> Result<M::Answer, ApiError> {
        let user = user()?;
        let read = changes::read(&message, user.clone());
        let (request, change) = read.inspect_err(|error| {
            let reason = error.mapping().reason;
            if let Some((order, request_id)) = changes::asked(&message) {
                let asked = (&order, request_id.as_str());
                self.app.reject_change(asked, reason);
            }
        })?;
        let (id, asked) = (request.order.clone(), change.clone());
        let changed = self.app.change_order(request, change, deadline).await;
        let stored = match changed {
            Err(ChangeError::UnknownOrder) => return Err(ApiError::OrderNotFound(id)),
            changed => changed?,
        };
        let refund_note = asked.refund_note(&stored).unwrap_or_default();
        Ok(M::answer(v1::Order {
            refund_note,
            ..self.changed_order(*stored).await?
        }))
    }

    /// An order after a change of it.
    pub(super) async fn changed_order(&self, stored: StoredOrder) -> Result<v1::Order, ApiError> {
        let cancellation = self.app.cancellation_of(&stored).await?;
        let catalog = self.app.catalog();
        // Only what belongs to the update: a repetition has the same answer, whatever has happened since.
        let view = View {
            attempts: AttemptsShown::No,
            ..self.view(&catalog, CustomerShown::No)
        };
        Ok(v1::Order {
            // Who may change an order may read what was typed of it.
            cancellation: cancellation
                .map(|update| to_proto::cancellation(update, TypedTexts::Shown)),
            ..view.order(&to_proto::listed(stored))
        })
    }

    async fn get_order(&self, request: EncodedRequest) -> Result<v1::GetOrderResponse, ApiError> {
        let user = user()?;
        let asked = requests::get_order(request.read()?, user.as_deref())?;
        let found = self
            .app
            .order_for(&asked.id, &MerchantScope::of(user.as_ref()))
            .await?;
        let stored = found.ok_or(ApiError::OrderNotFound(asked.id))?;
        let order = Some(self.shown_order(stored, &asked.mask).await?);
        Ok(v1::GetOrderResponse { order })
    }

    /// An order that is read by itself.
    async fn shown_order(
        &self,
        stored: StoredOrder,
        mask: &OrderMask,
    ) -> Result<v1::Order, ApiError> {
        let cancellation = self.app.cancellation_of(&stored).await?;
        let ids = [stored.placed.order.id.clone()];
        self.app.audit().record(AuditEvent::OrdersListed(&ids));
        let catalog = self.app.catalog();
        let view = self.view(&catalog, shown(mask.has_customer()));
        let mut order = view.order_with_next_states(stored);
        order.cancellation =
            cancellation.map(|update| to_proto::cancellation(update, mask.typed_texts()));
        mask.apply(&mut order);
        Ok(order)
    }

    async fn watch_order(
        &self,
        request: EncodedRequest,
        encoding: Encoding,
        timeout: Option<Duration>,
    ) -> Result<CallAnswer, ApiError> {
        let user = user()?;
        let AskedOrder { id, mask } = requests::watch_order(request.read()?, user.as_deref())?;
        let scope = MerchantScope::of(user.as_ref());
        let watch = self.app.watch_order(id.clone(), scope);
        let watch = watch.ok_or_else(|| ApiError::OrderNotFound(id.clone()))?;
        let watched = (self.clone(), watch);
        let orders = stream::unfold(watched, move |(this, mut watch)| {
            let (id, mask) = (id.clone(), mask.clone());
            async move {
                let next = tokio::select! {
                    () = this.limits.draining.cancelled() => Err(ApiError::ShuttingDown),
                    next = watch.next() => match next {
                        Ok(next) => next.ok_or(ApiError::OrderNotFound(id)),
                        Err(error) => Err(error.into()),
                    },
                };
                let answer = match next {
                    Ok(stored) => this.shown_order(stored, &mask).await,
                    Err(error) => Err(error),
                };
                let answer = answer.map(|order| v1::WatchOrderResponse { order: Some(order) });
                Some((answer, (this, watch)))
            }
        })
        .boxed();
        let watches = &self.limits.watches;
        let until = watches.deadline(timeout);
        let terms = StreamTerms {
            deadline: self.limits.calls.deadline(timeout),
            until,
            encoding,
        };
        let begin = streamed::with_first(orders).boxed();
        stream(watches, OperatorRpc::WatchOrder, terms, begin).await
    }

    async fn search_orders(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::SearchOrdersResponse, ApiError> {
        let user = user()?;
        let lifecycle = self.app.lifecycle();
        let states = &lifecycle.definition().entity(Entity::Order).states;
        let states: Vec<&str> = states.iter().map(|state| state.name.as_str()).collect();
        let asked = requests::search_orders(request.read()?, &states, user.as_deref())?;
        let AskedSearch {
            search,
            page,
            mask,
            scope,
        } = asked;
        let merchants = MerchantScope::of(user.as_ref());
        let names = AskedNames {
            merchant: ("merchant_id", search.merchant_id.as_ref()),
            service: ("service_id", search.service_id.as_ref()),
        };
        self.check_names(names, KnownNames::OfOrders, &merchants)?;
        let found = self.app.search(search, page, merchants).await?;
        let catalog = self.app.catalog();
        let view = self.view(&catalog, shown(mask.has_customer()));
        let mut orders = Vec::with_capacity(found.orders.len());
        for stored in &found.orders {
            let mut order = view.order(stored);
            mask.apply(&mut order);
            orders.push(order);
        }
        let next = found.next.map(|place| scope.issue(&place.0.to_string()));
        Ok(v1::SearchOrdersResponse {
            orders,
            next_page_token: next.unwrap_or_default(),
        })
    }

    async fn list_history(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::ListHistoryResponse, ApiError> {
        let (id, page) = requests::list_history(request.read()?)?;
        let found = self.app.find_order(id.clone(), &merchant_scope()?).await?;
        let stored = found.ok_or(ApiError::OrderNotFound(id))?;
        let updates = self.app.updates_of(stored.order.id.clone()).await?;
        let texts = TypedTexts::of(user()?.as_deref());
        let updates = updates.into_iter();
        let mut entries: Vec<_> = updates
            .map(|update| to_proto::history_entry(update, texts))
            .collect();
        entries.push(to_proto::creation(&stored, &self.app.lifecycle()));
        let (entries, next_page_token) = page.cut(entries, |entry| entry.revision.to_string());
        Ok(v1::ListHistoryResponse {
            entries,
            next_page_token,
        })
    }

    async fn list_slots(&self, request: EncodedRequest) -> Result<v1::ListSlotsResponse, ApiError> {
        let AskedSlots {
            merchant_id,
            service_id,
            date,
            page,
        } = requests::list_slots(request.read()?)?;
        let merchant = MerchantId::from(merchant_id.as_str());
        let service_id = service_id.map(ServiceId::from);
        let names = AskedNames {
            merchant: ("merchant_id", Some(&merchant)),
            service: ("service_id", service_id.as_ref()),
        };
        let merchants = merchant_scope()?;
        self.check_names(names, KnownNames::OfCatalog, &merchants)?;
        let catalog = self.app.catalog();
        let zones = Zones::of(&catalog);
        let zone = zones.zone(&merchant);
        let date = date.date(self.app.now(), zone).ok();
        let starts = date.and_then(|date| day(date, zone));
        let starts =
            starts.ok_or_else(|| ApiError::Internal("a date has no seconds".to_owned()))?;
        let search = SlotSearch {
            merchant_id: merchant.clone(),
            service_id,
            starts,
        };
        let reports = self.app.slots_of(search, &merchants).await?;
        let (reports, next_page_token) = page.cut(reports, |report| {
            let (start_sec, service_id) = (report.start_sec, &report.service_id);
            format!(
                "{start_sec}/{}/{service_id}",
                u32::from(report.duration_sec)
            )
        });
        let texts = TypedTexts::of(user()?.as_deref());
        let slots = reports.into_iter();
        Ok(v1::ListSlotsResponse {
            slots: slots
                .map(|report| to_proto::slot(&merchant_id, report, texts))
                .collect(),
            next_page_token,
            time_zone: to_proto::time_zone(&catalog, &merchant),
        })
    }

    async fn list_door(&self, request: EncodedRequest) -> Result<v1::ListDoorResponse, ApiError> {
        let user = user()?;
        let (slot, page) = requests::list_door(request.read()?)?;
        let scope = MerchantScope::of(user.as_ref());
        let names = AskedNames {
            merchant: ("slot.merchant_id", Some(&slot.merchant_id)),
            service: ("slot.service_id", Some(&slot.service_id)),
        };
        self.check_names(names, KnownNames::OfOrders, &scope)?;
        let stored = self.app.orders_of_slot(slot.clone(), &scope).await?;
        // After the orders: a slot that is over and has left the catalogue is known by them.
        if stored.is_empty()
            && let Some(unknown) = self.app.unknown_slot(&slot).await?
        {
            return Err(ChangeError::Invalid(vec![unknown]).into());
        }
        let catalog = self.app.catalog();
        let view = self.view(&catalog, shown(may_see_customers(user.as_deref())));
        let mut entries = Vec::new();
        for stored in &stored {
            entries.extend(view.guests(stored, &slot));
        }
        entries.sort_by_cached_key(|entry| {
            let name = (
                entry.family_name.to_lowercase(),
                entry.given_name.to_lowercase(),
            );
            (name, entry.order.clone(), entry.item)
        });
        // By order and item and not by name: a token must not carry a name.
        let key = |entry: &v1::DoorEntry| format!("{}/{}", entry.order, entry.item);
        let (entries, next_page_token) = page.cut(entries, key);
        Ok(v1::ListDoorResponse {
            entries,
            next_page_token,
            time_zone: to_proto::time_zone(&catalog, &slot.merchant_id),
        })
    }

    fn list_blocks(&self, request: EncodedRequest) -> Result<v1::ListBlocksResponse, ApiError> {
        let (merchant_id, page) = requests::list_blocks(request.read()?)?;
        let merchants = merchant_scope()?;
        let names = AskedNames {
            merchant: ("merchant_id", merchant_id.as_ref()),
            service: ("service_id", None),
        };
        self.check_names(names, KnownNames::OfOrders, &merchants)?;
        let blocks = self.app.blocks(merchant_id.as_ref(), &merchants);
        let (blocks, next_page_token) = page.cut(blocks, |SlotBlock { slot, .. }| {
            let (start_sec, duration_sec) = (slot.start_sec, u32::from(slot.duration_sec));
            let (merchant_id, service_id) = (&slot.merchant_id, &slot.service_id);
            format!("{start_sec}/{duration_sec}/{merchant_id}/{service_id}")
        });
        let catalog = self.app.catalog();
        let texts = TypedTexts::of(user()?.as_deref());
        let blocks = blocks.iter();
        Ok(v1::ListBlocksResponse {
            blocks: blocks
                .map(|block| to_proto::block(&catalog, block, texts))
                .collect(),
            next_page_token,
        })
    }

    async fn set_block(
        &self,
        request: EncodedRequest,
        deadline: Instant,
    ) -> Result<v1::SetBlockResponse, ApiError> {
        let message: v1::SetBlockRequest = request.read_identified()?;
        let block = changes::block(&message, user()?);
        let (slot, report) = if message.validate_only {
            self.app.slot_if_blocked(&block?).await?
        } else {
            let request = block.inspect_err(|error| {
                let reason = error.mapping().reason;
                self.app.reject_block(&message.request_id, reason);
            })?;
            let slot = self.app.set_block(request, deadline).await?;
            let report = self.app.slot(&slot).await?;
            (slot, report)
        };
        Ok(v1::SetBlockResponse {
            slot: Some(match report {
                // Who may block a slot may read why it is blocked.
                Some(report) => {
                    to_proto::slot(slot.merchant_id.as_str(), report, TypedTexts::Shown)
                }
                // It has left the catalogue, and its block has ended.
                None => v1::Slot {
                    name: Some(to_proto::slot_name(&slot)),
                    ..v1::Slot::default()
                },
            }),
            time_zone: to_proto::time_zone(&self.app.catalog(), &slot.merchant_id),
        })
    }

    async fn get_stats(&self, request: EncodedRequest) -> Result<v1::GetStatsResponse, ApiError> {
        let v1::GetStatsRequest {} = request.read()?;
        Ok(to_proto::stats(&self.app.order_stats().await?))
    }

    async fn list_steps(&self, request: EncodedRequest) -> Result<v1::ListStepsResponse, ApiError> {
        let (order, page) = requests::list_steps(&request.read()?)?;
        let is_of_one = order.is_some();
        let orders = match order {
            Some(id) => vec![id],
            None => self.app.orders_with_steps(),
        };
        let scope = merchant_scope()?;
        let mut found = Vec::new();
        for id in page.rest(orders, ToString::to_string) {
            // The order after a full page is only the sign that there is one.
            if found.len() > page.most {
                break;
            }
            match self.app.order_for(&id, &scope).await? {
                Some(stored) => found.push(stored),
                None if is_of_one => return Err(ApiError::OrderNotFound(id)),
                None => {}
            }
        }
        let id_of = |stored: &StoredOrder| stored.placed.order.id.to_string();
        let (found, next_page_token) = page.end(found, id_of);
        let catalog = self.app.catalog();
        let view = self.view(&catalog, CustomerShown::No);
        let mut steps = Vec::new();
        for stored in found {
            if let Some(tree) = stored.tree() {
                steps.extend(view.steps(&stored.placed.order, tree));
            }
        }
        Ok(v1::ListStepsResponse {
            steps,
            next_page_token,
        })
    }

    /// Rejects merchants and services that are not known.
    fn check_names(
        &self,
        asked: AskedNames<'_>,
        known: KnownNames,
        scope: &MerchantScope,
    ) -> Result<(), ApiError> {
        let unknown = self.app.unknown_names(asked, known, scope);
        if unknown.is_empty() {
            return Ok(());
        }
        Err(ChangeError::Invalid(unknown).into())
    }

    pub(super) fn view<'c>(&'c self, catalog: &'c Catalog, customer: CustomerShown) -> View<'c> {
        View {
            catalog,
            app: &self.app,
            customer,
            attempts: AttemptsShown::Yes,
        }
    }
}

/// When a streamed call has to have begun and to end, and how it is encoded.
pub(super) struct StreamTerms {
    pub(super) deadline: Instant,
    pub(super) until: Instant,
    pub(super) encoding: Encoding,
}

/// Answers with a stream, once it has begun. Each message is made when its reader has taken those before it.
pub(super) async fn stream<M: ResponseMessage + 'static>(
    calls: &Calls,
    rpc: OperatorRpc,
    terms: StreamTerms,
    // Boxed, because it is large and would be moved otherwise.
    begin: BoxFuture<'static, Result<Messages<M>, ApiError>>,
) -> Result<CallAnswer, ApiError> {
    let StreamTerms {
        deadline,
        until,
        encoding,
    } = terms;
    let responses = Arc::clone(calls.responses());
    let begin = pin!(async {
        let messages = begin.await?.then(move |message| {
            let responses = Arc::clone(&responses);
            async move {
                let format = responses.format(encoding, 0)?;
                responses.write(message?, format).await
            }
        });
        Ok(messages.boxed())
    });
    let reply = calls.begin_stream(rpc.name(), (deadline, until), begin);
    Ok(CallAnswer::Stream(reply.await?))
}

/// The merchants whose orders and slots the caller finds.
pub(super) fn merchant_scope() -> Result<MerchantScope, ApiError> {
    Ok(MerchantScope::of(user()?.as_ref()))
}

fn shown(is_shown: bool) -> CustomerShown {
    if is_shown {
        CustomerShown::Yes
    } else {
        CustomerShown::No
    }
}

impl AskedPage {
    /// The elements of the page, of a list in the order of all its pages, and the token of the next one; empty if there is
    /// none. `key` tells the elements apart.
    pub(super) fn cut<T>(self, list: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let rest = self.rest(list, &key);
        self.end(rest, key)
    }

    /// The elements after the page before.
    fn rest<T>(&self, mut list: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
        let begin = match &self.after {
            None => 0,
            // An element that is gone leaves no place to go on from: then the list is over.
            Some(after) => {
                let last = list.iter().position(|element| key(element) == *after);
                last.map_or(list.len(), |last| last + 1)
            }
        };
        list.split_off(begin)
    }

    /// The elements of the page, of those after the page before, and the token of the next one.
    fn end<T>(self, mut page: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let is_last = page.len() <= self.most;
        page.truncate(self.most);
        let last = page.last().filter(|_| !is_last);
        let token = last.map(|last| self.scope.issue(&key(last)));
        (page, token.unwrap_or_default())
    }
}
