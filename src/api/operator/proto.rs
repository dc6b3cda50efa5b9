//! The generated messages and the client.

pub use boxoffice::operator::v1;

use crate::api::{error::ApiError, responses::ResponseMessage};

/// The published files, with their comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("operator_service");

/// The requests by the names and numbers of their fields.
mod schemas {
    use super::v1;
    use crate::api::booking::schema::{
        Described, EnumSchema, FieldKind, FieldSchema, MessageSchema,
    };

    include!(concat!(env!("OUT_DIR"), "/operator_schema.rs"));
}

mod boxoffice {
    pub(crate) mod operator {
        /// The operator's services: messages and client.
        #[expect(
            clippy::allow_attributes,
            clippy::allow_attributes_without_reason,
            clippy::doc_markdown,
            clippy::missing_errors_doc,
            clippy::must_use_candidate,
            clippy::too_many_lines,
            reason = "generated code"
        )]
        pub mod v1 {
            tonic::include_proto!("boxoffice.operator.v1");
            // Their JSON form.
            include!(concat!(env!("OUT_DIR"), "/boxoffice.operator.v1.serde.rs"));
        }
    }
}

macro_rules! responses {
    ($($name:ident),+) => {$(
        impl ResponseMessage for v1::$name {
            fn plain_json(&self) -> Result<Vec<u8>, ApiError> {
                // No response has an enum, and every moment is one of the calendar.
                Err(ApiError::Internal("a response is not JSON".to_owned()))
            }
        }
    )+};
}

responses! {
    GetOrderResponse,
    WatchOrderResponse,
    SearchOrdersResponse,
    ListHistoryResponse,
    ListSlotsResponse,
    ListDoorResponse,
    ListBlocksResponse,
    SetBlockResponse,
    ListStepsResponse,
    CancelOrderResponse,
    RefundItemsResponse,
    WithdrawItemsResponse,
    CustomerActionResponse,
    ConfirmItemsResponse,
    MarkNoShowResponse,
    ChangeStateResponse,
    AddNoteResponse,
    RetryStepResponse,
    AbandonStepResponse,
    ExportCustomerResponse,
    EraseCustomerResponse,
    GetStatsResponse,
    DescribeLifecycleResponse,
    GetDraftResponse,
    PutDraftResponse,
    DiscardDraftResponse,
    PublishDraftResponse,
    ListRevisionsResponse
}
