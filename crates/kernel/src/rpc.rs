//! The methods of the contract, and the transports that they are called over.

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
