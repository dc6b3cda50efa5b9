//! One call of the operator's services, whatever its transport: permit, deadline, conversion to the use case and back.

use std::{pin::pin, sync::Arc, time::Duration};

use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    changes::{self, ChangeMessage},
    masks::may_see_customers,
    order_stream::OrderStream,
    proto::v1::{self, withdraw_items_request::Target},
    query,
    requests::{self, AskedPage, AskedSearch, AskedSlots},
    to_proto::{self, AttemptsShown, CustomerShown, View},
};
use crate::{
    api::{
        calls::{Calls, Reply, user},
        error::ApiError,
        responses::{Encoding, ResponseFormat, ResponseMessage},
    },
    net::request_bodies::ReceivedMessage,
};
use domain::{catalog::Catalog, ids::MerchantId};
use kernel::rpc::OperatorRpc;
use orders::{
    App, OrderError,
    search::{Zones, day},
    slots::SlotSearch,
    update::ChangeError,
};
use store::SlotBlock;

/// Runs calls of the operator's services.
#[derive(Debug, Clone)]
pub struct OperatorDispatcher {
    app: Arc<App>,
    calls: Calls,
}

/// An answer, as its transport sends it.
#[derive(Debug)]
pub enum OperatorReply {
    /// One message.
    Message(Reply),
    /// Orders, one by one.
    Orders(OrderStream),
}

/// A request as its transport has it.
#[derive(Debug)]
pub enum EncodedRequest {
    /// A protocol buffer, counted against the byte budget.
    Protobuf(ReceivedMessage),
    /// A JSON object.
    Json(Value),
}

impl EncodedRequest {
    fn bytes(&self) -> usize {
        match self {
            Self::Protobuf(message) => message.bytes().len(),
            // No request of this form is long.
            Self::Json(_) => 0,
        }
    }

    fn read<M: Message + Default + DeserializeOwned>(self) -> Result<M, ApiError> {
        match self {
            Self::Protobuf(message) => {
                let decoded = M::decode(message.bytes().clone());
                decoded.map_err(|error| ApiError::Malformed(error.to_string()))
            }
            Self::Json(value) => query::read(value),
        }
    }
}

impl OperatorDispatcher {
    /// A dispatcher to the application within these limits.
    #[must_use]
    pub fn new(app: Arc<App>, calls: Calls) -> Self {
        Self { app, calls }
    }

    /// Handles a call whose message has arrived. `timeout` is that of its caller.
    ///
    /// # Errors
    /// [`ApiError`], if there is no response of the service.
    pub async fn dispatch(
        &self,
        rpc: OperatorRpc,
        request: EncodedRequest,
        encoding: Encoding,
        timeout: Option<Duration>,
    ) -> Result<OperatorReply, ApiError> {
        let deadline = self.calls.deadline(timeout);
        let responses = self.calls.responses();
        // Before any work: where there is no room for the response, none is begun.
        let format = responses.format(encoding, request.bytes())?;
        let reply = match rpc {
            OperatorRpc::GetOrder => {
                let work = self.get_order(request);
                self.answer(rpc, deadline, format, work).await
            }
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
                let work = self.list_blocks(request);
                self.answer(rpc, deadline, format, work).await
            }
            OperatorRpc::SetBlock => {
                let work = self.set_block(request, deadline);
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
            OperatorRpc::WithdrawItems => {
                return self.withdraw(request, deadline, encoding, format).await;
            }
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
        };
        reply.map(OperatorReply::Message)
    }

    async fn answer<M: ResponseMessage + 'static>(
        &self,
        rpc: OperatorRpc,
        deadline: Instant,
        format: ResponseFormat,
        work: impl Future<Output = Result<M, ApiError>> + Send,
    ) -> Result<Reply, ApiError> {
        let work = pin!(async {
            let response = work.await?;
            self.calls.responses().write(response, format).await
        });
        self.calls.run(rpc.name(), deadline, work).await
    }

    /// Answers a request that changes an order.
    async fn change<M: ChangeMessage>(
        &self,
        request: EncodedRequest,
        deadline: Instant,
        format: ResponseFormat,
    ) -> Result<Reply, ApiError> {
        self.change_by::<M>(&request.read()?, deadline, format)
            .await
    }

    /// Withdraws items of an order, or everything that was sold of a slot.
    async fn withdraw(
        &self,
        request: EncodedRequest,
        deadline: Instant,
        encoding: Encoding,
        format: ResponseFormat,
    ) -> Result<OperatorReply, ApiError> {
        let message: v1::WithdrawItemsRequest = request.read()?;
        let Some(Target::Slot(slot)) = message.target.clone() else {
            let reply = self.change_by(&message, deadline, format).await;
            return reply.map(OperatorReply::Message);
        };
        let work = pin!(async {
            let withdrawal = changes::slot_withdrawal(&message, slot, user()?)?;
            Ok(self.app.withdraw_slot(withdrawal, deadline).await?)
        });
        let name = OperatorRpc::WithdrawItems.name();
        // The deadline is that of the block. The orders take as long as they take.
        let (orders, permit) = self.calls.run_to(name, deadline, work).await?;
        let app = Arc::clone(&self.app);
        Ok(OperatorReply::Orders(OrderStream::new(
            app, orders, encoding, permit,
        )))
    }

    async fn change_by<M: ChangeMessage>(
        &self,
        message: &M,
        deadline: Instant,
        format: ResponseFormat,
    ) -> Result<Reply, ApiError> {
        let work = async {
            let user = user()?;
            let (request, change) = changes::read::<M>(message, user)?;
            let id = request.order.clone();
            let changed = self.app.change_order(request, change, deadline).await;
            let stored = match changed {
                Err(ChangeError::UnknownOrder) => return Err(ApiError::OrderNotFound(id)),
                changed => changed?,
            };
            let catalog = self.app.catalog();
            // Only what belongs to the update: a repetition has the same answer, whatever has happened since.
            let view = View {
                attempts: AttemptsShown::No,
                ..self.view(&catalog, CustomerShown::No)
            };
            Ok(M::answer(view.order(&to_proto::listed(*stored))))
        };
        self.answer(M::RPC, deadline, format, work).await
    }

    async fn get_order(&self, request: EncodedRequest) -> Result<v1::GetOrderResponse, ApiError> {
        let user = user()?;
        let asked = requests::get_order(request.read()?, user.as_deref())?;
        let found = self.app.stored_order(&asked.id).await?;
        let stored = found.ok_or(ApiError::OrderNotFound(asked.id))?;
        let catalog = self.app.catalog();
        let view = self.view(&catalog, shown(asked.mask.has_customer()));
        let mut order = view.order_with_next_states(stored);
        asked.mask.apply(&mut order);
        Ok(v1::GetOrderResponse { order: Some(order) })
    }

    async fn search_orders(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::SearchOrdersResponse, ApiError> {
        let user = user()?;
        let asked = requests::search_orders(request.read()?, user.as_deref())?;
        let AskedSearch {
            search,
            page,
            mask,
            scope,
        } = asked;
        let found = self.app.search(search, page).await?;
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
        let found = self.app.find_order(id.clone()).await?;
        let stored = found.ok_or(ApiError::OrderNotFound(id))?;
        let updates = self.app.updates_of(stored.order.id.clone()).await?;
        let mut entries: Vec<_> = updates.into_iter().map(to_proto::history_entry).collect();
        entries.push(to_proto::creation(&stored));
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
        let catalog = self.app.catalog();
        let merchant = MerchantId::from(merchant_id.as_str());
        if catalog.merchant_ix(&merchant).is_none() {
            return Err(OrderError::UnknownMerchant.into());
        }
        let starts = day(date, Zones::of(&catalog).zone(&merchant));
        let starts =
            starts.ok_or_else(|| ApiError::Internal("a date has no seconds".to_owned()))?;
        let search = SlotSearch {
            merchant_id: merchant.clone(),
            service_id: service_id.map(Into::into),
            starts,
        };
        let reports = self.app.slots_of(search).await?;
        let (reports, next_page_token) = page.cut(reports, |report| {
            let (start_sec, service_id) = (report.start_sec, &report.service_id);
            format!(
                "{start_sec}/{}/{service_id}",
                u32::from(report.duration_sec)
            )
        });
        let slots = reports.into_iter();
        Ok(v1::ListSlotsResponse {
            slots: slots
                .map(|report| to_proto::slot(&merchant_id, report))
                .collect(),
            next_page_token,
            time_zone: to_proto::time_zone(&catalog, &merchant),
        })
    }

    async fn list_door(&self, request: EncodedRequest) -> Result<v1::ListDoorResponse, ApiError> {
        let user = user()?;
        let (slot, page) = requests::list_door(request.read()?)?;
        let stored = self.app.orders_of_slot(slot.clone()).await?;
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

    async fn list_blocks(
        &self,
        request: EncodedRequest,
    ) -> Result<v1::ListBlocksResponse, ApiError> {
        let (merchant_id, page) = requests::list_blocks(request.read()?)?;
        let blocks = self.app.blocks(merchant_id.as_ref());
        let (blocks, next_page_token) = page.cut(blocks, |SlotBlock { slot, .. }| {
            let (start_sec, duration_sec) = (slot.start_sec, u32::from(slot.duration_sec));
            let (merchant_id, service_id) = (&slot.merchant_id, &slot.service_id);
            format!("{start_sec}/{duration_sec}/{merchant_id}/{service_id}")
        });
        let catalog = self.app.catalog();
        let blocks = blocks.into_iter();
        Ok(v1::ListBlocksResponse {
            blocks: blocks
                .map(|block| to_proto::block(&catalog, block))
                .collect(),
            next_page_token,
        })
    }

    async fn set_block(
        &self,
        request: EncodedRequest,
        deadline: Instant,
    ) -> Result<v1::SetBlockResponse, ApiError> {
        let request = changes::block(&request.read()?, user()?)?;
        let slot = self.app.set_block(request, deadline).await?;
        let report = self.app.slot(&slot).await?;
        Ok(v1::SetBlockResponse {
            slot: Some(match report {
                Some(report) => to_proto::slot(slot.merchant_id.as_str(), report),
                // It has left the catalogue, and its block has ended.
                None => v1::Slot {
                    name: Some(to_proto::slot_name(&slot)),
                    ..v1::Slot::default()
                },
            }),
            time_zone: to_proto::time_zone(&self.app.catalog(), &slot.merchant_id),
        })
    }

    async fn list_steps(&self, request: EncodedRequest) -> Result<v1::ListStepsResponse, ApiError> {
        let (order, page) = requests::list_steps(&request.read()?)?;
        let orders = match order {
            Some(id) => vec![id],
            None => self.app.orders_with_steps(),
        };
        let (orders, next_page_token) = page.cut(orders, ToString::to_string);
        let catalog = self.app.catalog();
        let view = self.view(&catalog, CustomerShown::No);
        let mut steps = Vec::new();
        for id in orders {
            let found = self.app.stored_order(&id).await?;
            let Some(stored) = found else {
                return Err(ApiError::OrderNotFound(id));
            };
            if let Some(update) = &stored.update {
                steps.extend(view.steps(&id, &update.tree));
            }
        }
        Ok(v1::ListStepsResponse {
            steps,
            next_page_token,
        })
    }

    fn view<'c>(&'c self, catalog: &'c Catalog, customer: CustomerShown) -> View<'c> {
        View {
            catalog,
            app: &self.app,
            customer,
            attempts: AttemptsShown::Yes,
        }
    }
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
    fn cut<T>(self, mut list: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, String) {
        let begin = match &self.after {
            None => 0,
            // An element that is gone leaves no place to go on from: then the list is over.
            Some(after) => {
                let last = list.iter().position(|element| key(element) == *after);
                last.map_or(list.len(), |last| last + 1)
            }
        };
        let mut page = list.split_off(begin);
        let is_last = page.len() <= self.most;
        page.truncate(self.most);
        let last = page.last().filter(|_| !is_last);
        let token = last.map(|last| self.scope.issue(&key(last)));
        (page, token.unwrap_or_default())
    }
}
