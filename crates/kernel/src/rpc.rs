//! The methods of the contract, and the transports that they are called over.

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// Whether orders are taken. Over gRPC a service of its own answers that.
    HealthCheck,
    /// Whether a cart can be sold.
    CheckOrderFulfillability,
    /// To create an order.
    CreateOrder,
    /// Orders.
    ListOrders,
    /// Which slots are available.
    BatchAvailabilityLookup,
    /// How much of a slot is available.
    CheckAvailability,
}

impl Rpc {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::HealthCheck,
        Self::CheckOrderFulfillability,
        Self::CreateOrder,
        Self::ListOrders,
        Self::BatchAvailabilityLookup,
        Self::CheckAvailability,
    ];

    /// Its published name.
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
    /// All of them.
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
