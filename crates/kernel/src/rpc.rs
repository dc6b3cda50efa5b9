//! The methods of the contract and of the operator's services, and the transports that they are called over.

use crate::user::Permission;

/// A method of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// Whether the server is ready. Over gRPC, the standard health service answers this.
    HealthCheck,
    /// Checks whether a cart can be sold.
    CheckOrderFulfillability,
    /// Creates an order.
    CreateOrder,
    /// Lists orders.
    ListOrders,
    /// Looks up which slots are available.
    BatchAvailabilityLookup,
    /// Looks up how many spots of a slot are open.
    CheckAvailability,
}

impl Rpc {
    /// All methods.
    pub const ALL: [Self; 6] = [
        Self::HealthCheck,
        Self::CheckOrderFulfillability,
        Self::CreateOrder,
        Self::ListOrders,
        Self::BatchAvailabilityLookup,
        Self::CheckAvailability,
    ];

    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HealthCheck => "HealthCheck",
            Self::CheckOrderFulfillability => "CheckOrderFulfillability",
            Self::CreateOrder => "CreateOrder",
            Self::ListOrders => "ListOrders",
            Self::BatchAvailabilityLookup => "BatchAvailabilityLookup",
            Self::CheckAvailability => "CheckAvailability",
        }
    }
}

/// A method of the operator's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorRpc {
    /// Reads an order.
    GetOrder,
    /// Reads an order, and again after each change.
    WatchOrder,
    /// Finds orders.
    SearchOrders,
    /// Reads what happened to an order.
    ListHistory,
    /// Lists the slots of a day.
    ListSlots,
    /// Lists who comes to a slot.
    ListDoor,
    /// Lists the slots that are blocked.
    ListBlocks,
    /// Lists work outside of this server that is not done.
    ListSteps,
    /// Cancels an order or items of it.
    CancelOrder,
    /// Gives money back.
    RefundItems,
    /// Takes away what was sold.
    WithdrawItems,
    /// Takes what the customer decides after a withdrawal.
    CustomerAction,
    /// Takes what the merchant decides on items that wait for it.
    ConfirmItems,
    /// Marks items whose customer did not come.
    MarkNoShow,
    /// Adds a note to the history.
    AddNote,
    /// Has a step tried at once.
    RetryStep,
    /// Takes spots of a slot off sale.
    SetBlock,
    /// Makes any other change that the lifecycle allows.
    ChangeState,
    /// Gives up a step.
    AbandonStep,
    /// Reads everything on record about a person.
    ExportCustomer,
    /// Erases a person from the record.
    EraseCustomer,
    /// Reads numbers of the server.
    GetStats,
    /// Describes the lifecycle in force.
    DescribeLifecycle,
    /// Reads the draft of the lifecycle.
    GetDraft,
    /// Checks a definition and keeps it as the draft.
    PutDraft,
    /// Removes the draft.
    DiscardDraft,
    /// Puts the draft in force.
    PublishDraft,
    /// Lists the revisions of the lifecycle.
    ListRevisions,
}

impl OperatorRpc {
    /// All methods.
    pub const ALL: [Self; 28] = [
        Self::GetOrder,
        Self::WatchOrder,
        Self::SearchOrders,
        Self::ListHistory,
        Self::ListSlots,
        Self::ListDoor,
        Self::ListBlocks,
        Self::ListSteps,
        Self::CancelOrder,
        Self::RefundItems,
        Self::WithdrawItems,
        Self::CustomerAction,
        Self::ConfirmItems,
        Self::MarkNoShow,
        Self::AddNote,
        Self::RetryStep,
        Self::SetBlock,
        Self::ChangeState,
        Self::AbandonStep,
        Self::ExportCustomer,
        Self::EraseCustomer,
        Self::GetStats,
        Self::DescribeLifecycle,
        Self::GetDraft,
        Self::PutDraft,
        Self::DiscardDraft,
        Self::PublishDraft,
        Self::ListRevisions,
    ];

    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetOrder => "GetOrder",
            Self::WatchOrder => "WatchOrder",
            Self::SearchOrders => "SearchOrders",
            Self::ListHistory => "ListHistory",
            Self::ListSlots => "ListSlots",
            Self::ListDoor => "ListDoor",
            Self::ListBlocks => "ListBlocks",
            Self::ListSteps => "ListSteps",
            Self::CancelOrder => "CancelOrder",
            Self::RefundItems => "RefundItems",
            Self::WithdrawItems => "WithdrawItems",
            Self::CustomerAction => "CustomerAction",
            Self::ConfirmItems => "ConfirmItems",
            Self::MarkNoShow => "MarkNoShow",
            Self::AddNote => "AddNote",
            Self::RetryStep => "RetryStep",
            Self::SetBlock => "SetBlock",
            Self::ChangeState => "ChangeState",
            Self::AbandonStep => "AbandonStep",
            Self::ExportCustomer => "ExportCustomer",
            Self::EraseCustomer => "EraseCustomer",
            Self::GetStats => "GetStats",
            Self::DescribeLifecycle => "DescribeLifecycle",
            Self::GetDraft => "GetDraft",
            Self::PutDraft => "PutDraft",
            Self::DiscardDraft => "DiscardDraft",
            Self::PublishDraft => "PublishDraft",
            Self::ListRevisions => "ListRevisions",
        }
    }

    /// The full name of its gRPC service.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::GetOrder
            | Self::WatchOrder
            | Self::SearchOrders
            | Self::ListHistory
            | Self::ListSteps
            | Self::CancelOrder
            | Self::RefundItems
            | Self::WithdrawItems
            | Self::CustomerAction
            | Self::ConfirmItems
            | Self::MarkNoShow
            | Self::AddNote
            | Self::RetryStep
            | Self::ChangeState
            | Self::AbandonStep
            | Self::ExportCustomer
            | Self::EraseCustomer
            | Self::GetStats => "boxoffice.operator.v1.OrderService",
            Self::ListSlots | Self::ListDoor | Self::ListBlocks | Self::SetBlock => {
                "boxoffice.operator.v1.SlotService"
            }
            Self::DescribeLifecycle
            | Self::GetDraft
            | Self::PutDraft
            | Self::DiscardDraft
            | Self::PublishDraft
            | Self::ListRevisions => "boxoffice.operator.v1.LifecycleService",
        }
    }

    /// Whether it answers with a stream of messages.
    #[must_use]
    pub const fn is_streamed(self) -> bool {
        matches!(
            self,
            Self::WatchOrder | Self::WithdrawItems | Self::ExportCustomer
        )
    }

    /// What a user needs to call it.
    #[must_use]
    pub const fn permission(self) -> Permission {
        match self {
            Self::GetOrder
            | Self::GetStats
            | Self::WatchOrder
            | Self::SearchOrders
            | Self::ListHistory
            | Self::ListSlots
            | Self::ListDoor
            | Self::ListBlocks
            | Self::ListSteps
            | Self::DescribeLifecycle
            | Self::ListRevisions => Permission::Read,
            Self::CancelOrder
            | Self::RefundItems
            | Self::WithdrawItems
            | Self::CustomerAction
            | Self::ConfirmItems
            | Self::MarkNoShow
            | Self::AddNote
            | Self::RetryStep
            | Self::SetBlock => Permission::ChangeOrders,
            Self::ChangeState
            | Self::AbandonStep
            | Self::GetDraft
            | Self::PutDraft
            | Self::DiscardDraft
            | Self::PublishDraft => Permission::Intervene,
            Self::ExportCustomer | Self::EraseCustomer => Permission::ManageCustomers,
        }
    }

    /// What it is about.
    #[must_use]
    pub const fn subject(self) -> Subject {
        match self {
            Self::GetOrder
            | Self::WatchOrder
            | Self::SearchOrders
            | Self::ListHistory
            | Self::ListSlots
            | Self::ListDoor
            | Self::ListBlocks
            | Self::ListSteps
            | Self::CancelOrder
            | Self::RefundItems
            | Self::WithdrawItems
            | Self::CustomerAction
            | Self::ConfirmItems
            | Self::MarkNoShow
            | Self::AddNote
            | Self::RetryStep
            | Self::SetBlock
            | Self::ChangeState
            | Self::AbandonStep
            | Self::ExportCustomer => Subject::Merchants,
            // A person is erased from the orders of all merchants.
            Self::EraseCustomer
            | Self::GetStats
            | Self::GetDraft
            | Self::PutDraft
            | Self::DiscardDraft
            | Self::PublishDraft => Subject::Server,
            Self::DescribeLifecycle | Self::ListRevisions => Subject::Definition,
        }
    }
}

/// What a method of the operator's services is about. It decides what a user finds whose scope names merchants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Orders and slots: the user finds those of its merchants. All others are as if they were not there.
    Merchants,
    /// The server as a whole: users of all merchants only.
    Server,
    /// The definition that the orders of all merchants follow: everybody whose role permits it.
    Definition,
}

/// A method of either interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Of the contract.
    Booking(Rpc),
    /// Of the operator's services.
    Operator(OperatorRpc),
}

impl Method {
    /// Number of methods.
    pub const COUNT: usize = Rpc::ALL.len() + OperatorRpc::ALL.len();

    /// All methods, each at its [`Method::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        let booking = Rpc::ALL.into_iter().map(Self::Booking);
        booking.chain(OperatorRpc::ALL.into_iter().map(Self::Operator))
    }

    /// Its place among all methods.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Booking(rpc) => rpc as usize,
            Self::Operator(rpc) => Rpc::ALL.len() + rpc as usize,
        }
    }

    /// Whether it answers with a stream of messages.
    #[must_use]
    pub const fn is_streamed(self) -> bool {
        match self {
            Self::Booking(_) => false,
            Self::Operator(rpc) => rpc.is_streamed(),
        }
    }

    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Booking(rpc) => rpc.name(),
            Self::Operator(rpc) => rpc.name(),
        }
    }
}

/// How a request reaches a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC as browsers send it.
    GrpcWeb,
    /// JSON over HTTP.
    Rest,
}

impl Transport {
    /// All transports.
    pub const ALL: [Self; 3] = [Self::Grpc, Self::GrpcWeb, Self::Rest];

    /// Its name in settings, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Rest => "rest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_at_its_index() {
        let indexes: Vec<usize> = Method::all().map(Method::index).collect();
        assert_eq!(indexes, (0..Method::COUNT).collect::<Vec<_>>());
    }
}
