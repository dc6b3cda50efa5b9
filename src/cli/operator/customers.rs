//! The personal data of a customer, at the operator's address of a server.

use serde_json::{Value, json};

use super::{OperatorServer, changes::new_request_id, connection::RequestFailed};
use crate::{
    api::{
        customers::ExportedCustomer,
        operator::proto::v1::{EraseCustomerRequest, ExportCustomerRequest},
    },
    cli::{error::CliError, progress::OrderCount},
};
use domain::ids::UserId;

/// The version of the export: another number is another form. The first one is that of the store.
const FORM: u32 = 2;

impl OperatorServer {
    /// Has the server erase a customer. Returns of how many orders.
    pub(in crate::cli) fn erase_customer(&self, user_id: &UserId) -> Result<u64, CliError> {
        let request = EraseCustomerRequest {
            user_id: user_id.as_str().to_owned(),
            request_id: new_request_id().map_err(CliError::Start)?,
        };
        self.ask(async |connection| {
            let answer = connection.orders().erase_customer(request).await?;
            Ok(answer.into_inner().orders)
        })
    }

    /// The export of a customer by the server.
    pub(in crate::cli) fn export_customer(
        &self,
        user_id: &UserId,
    ) -> Result<ExportedCustomer, CliError> {
        let request = ExportCustomerRequest {
            user_id: user_id.as_str().to_owned(),
        };
        self.ask(async |connection| {
            let answers = connection.orders().export_customer(request).await?;
            let mut answers = answers.into_inner();
            let (mut orders, mut unreadable): (Vec<Value>, _) = (Vec::new(), Vec::new());
            let progress = OrderCount::new();
            while let Some(answer) = answers.message().await? {
                unreadable.extend_from_slice(&answer.unreadable);
                if answer.order.is_some() {
                    // Every message has a JSON form.
                    orders.push(serde_json::to_value(&answer).unwrap_or_default());
                    progress.show(orders.len());
                }
            }
            drop(progress);
            let mut export = json!({
                "format": FORM,
                "user_id": user_id.as_str(),
                "orders": orders,
            });
            if !unreadable.is_empty() {
                export["unreadable"] = unreadable.clone().into();
            }
            Ok::<_, RequestFailed>(ExportedCustomer {
                json: format!("{export:#}\n").into_bytes(),
                unreadable,
            })
        })
    }
}
