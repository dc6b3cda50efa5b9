//! Withdrawals: items of an order, or everything that was sold of a slot, order by order.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt, future, stream};
use tokio::time::Instant;

use super::{
    changes,
    dispatch::{
        CallAnswer, EncodedRequest, OperatorDispatcher, StreamTerms, stream as answer_with,
    },
    proto::v1::{self, withdraw_items_request::Target},
};
use crate::api::{calls::user, error::ApiError, responses::Encoding};
use kernel::rpc::OperatorRpc;

/// The longest time for which the orders of a slot are answered. They take as long as they take, and none is cancelled.
const MAX_ANSWERING: Duration = Duration::from_secs(86_400);

impl OperatorDispatcher {
    /// Withdraws items of an order, or everything that was sold of a slot. The deadline is that of the order, or of the
    /// block of the slot.
    pub(super) async fn withdraw(
        &self,
        request: EncodedRequest,
        encoding: Encoding,
        deadline: Instant,
    ) -> Result<CallAnswer, ApiError> {
        let message: v1::WithdrawItemsRequest = request.read_identified()?;
        let this = self.clone();
        let begin = async move {
            let Some(Target::Slot(slot)) = message.target.clone() else {
                let answer = this.changed(message, deadline).await?;
                return Ok(stream::once(future::ready(Ok(answer))).boxed());
            };
            let withdrawal = changes::slot_withdrawal(&message, slot, user()?);
            let withdrawal = withdrawal.inspect_err(|error| {
                if !message.validate_only {
                    let reason = error.mapping().reason;
                    this.app.reject_block(&message.request_id, reason);
                }
            })?;
            let mut orders = this.app.withdraw_slot(withdrawal, deadline).await?;
            let orders = stream::poll_fn(move |context| orders.poll_recv(context));
            let answers = orders.then(move |withdrawn| {
                let this = this.clone();
                async move {
                    let order = Some(this.changed_order(*withdrawn?).await?);
                    Ok(v1::WithdrawItemsResponse { order })
                }
            });
            Ok(answers.boxed())
        };
        let terms = StreamTerms {
            deadline,
            until: Instant::now() + MAX_ANSWERING,
            encoding,
        };
        let calls = &self.limits.calls;
        answer_with(calls, OperatorRpc::WithdrawItems, terms, begin.boxed()).await
    }
}
