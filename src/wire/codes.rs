//! The one table of refusals: what a kind of error is called, over every door, and whether
//! asking again can help.

use std::time::Duration;

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::requests::{UNKNOWN_MERCHANT, Violations};
use crate::{access::AuthError, app::OrderError, domain::ids::MerchantId, files::mistakes::quoted};

/// The domain of our `google.rpc.ErrorInfo` reasons.
pub const ERROR_DOMAIN: &str = "boxoffice";

/// The header that tells over gRPC how messages may be compressed.
const ACCEPTED_ENCODINGS: &str = "grpc-accept-encoding";

/// What those who run the server find on their address.
pub const ADMIN_URLS: &str = "this is the operator's address, with /livez, /readyz, /metrics and /feeds, and \
                              grpc.health.v1.Health over gRPC";

/// When a caller may well ask again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Why a call has no answer of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// The bytes are not the message they should be.
    Malformed(String),
    /// The message breaks rules of requests.
    Invalid(Violations),
    /// The message is larger than the server takes.
    RequestTooLarge,
    /// The response would be larger than the server gives.
    ResponseTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// As many bytes are under way as the server takes.
    BytesInFlightLimit,
    /// The message is compressed in a way that the server does not know.
    UnsupportedEncoding,
    /// There is no such method.
    UnknownMethod,
    /// There is nothing at this URL.
    NotFound,
    /// There is nothing at this URL of the operator's address.
    AdminNotFound,
    /// The URL is called with other verbs than this.
    MethodNotAllowed {
        /// The verbs that it takes, with commas between.
        allowed: &'static str,
    },
    /// The message says that it is something else than JSON, or does not say what it is.
    NotJson,
    /// The request is for a gRPC method and is no call over gRPC; the text says what it lacks.
    UnsupportedMediaType(&'static str),
    /// A method that takes one message is sent another.
    SecondMessage,
    /// There is no such service to ask the health of.
    UnknownService,
    /// The request does not say as HTTP has it which host it is for.
    InvalidHost(&'static str),
    /// The request is for a host name that is not served.
    Misdirected,
    /// The body has a transfer coding other than chunked.
    UnsupportedTransferEncoding,
    /// The header `expect` has something else than `100-continue`.
    ExpectationFailed,
    /// No orders are taken: the store has failed, or the server goes down.
    NotServing,
    /// The call's time is up. What it began may yet be done.
    DeadlineExceeded,
    /// The request has more headers than the server takes.
    TooManyHeaders,
    /// The caller may not make the call, or not now.
    AuthError(AuthError),
    /// The user's scope does not have this merchant, whether or not there is one.
    MerchantOutOfScope(MerchantId),
    /// The application refuses.
    Refused(OrderError),
    /// A bug. The text is for the log and not for the caller.
    Bug(String),
}

/// What a kind of error is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusMapping {
    /// The gRPC status.
    pub grpc: Code,
    /// The HTTP status of the same.
    pub http: u16,
    /// The machine-readable reason.
    pub reason: &'static str,
    /// Whether the same request may succeed if it is sent again.
    pub retryable: bool,
}

const fn mapping(grpc: Code, http: u16, reason: &'static str, retryable: bool) -> StatusMapping {
    StatusMapping {
        grpc,
        http,
        reason,
        retryable,
    }
}

/// A thread is missing, whoever needed it.
const NO_THREAD: StatusMapping = mapping(Code::Unavailable, 503, "THREADS_EXHAUSTED", true);

impl ApiError {
    /// The table.
    #[must_use]
    pub fn mapping(&self) -> StatusMapping {
        match self {
            Self::Malformed(_) | Self::SecondMessage => {
                mapping(Code::InvalidArgument, 400, "MALFORMED_MESSAGE", false)
            }
            Self::Invalid(_) => mapping(Code::InvalidArgument, 400, "INVALID_REQUEST", false),
            Self::Refused(OrderError::UnknownMerchant) => {
                mapping(Code::InvalidArgument, 400, "INVALID_REQUEST", false)
            }
            Self::Refused(OrderError::TokenReused) => {
                mapping(Code::InvalidArgument, 400, "TOKEN_REUSED", false)
            }
            Self::Refused(OrderError::InProgress) => {
                mapping(Code::Aborted, 409, "ORDER_IN_PROGRESS", true)
            }
            Self::RequestTooLarge => mapping(Code::ResourceExhausted, 413, "REQUEST_TOO_LARGE", false),
            Self::UnsupportedEncoding => mapping(Code::Unimplemented, 415, "UNSUPPORTED_ENCODING", false),
            Self::UnknownMethod => mapping(Code::Unimplemented, 501, "UNKNOWN_METHOD", false),
            Self::NotFound | Self::AdminNotFound => {
                mapping(Code::NotFound, 404, "NOT_FOUND", false)
            }
            Self::MethodNotAllowed { .. } => mapping(Code::Unimplemented, 405, "METHOD_NOT_ALLOWED", false),
            Self::NotJson => mapping(Code::InvalidArgument, 415, "UNSUPPORTED_MEDIA_TYPE", false),
            Self::UnsupportedMediaType(_) => mapping(Code::InvalidArgument, 415, "UNSUPPORTED_MEDIA_TYPE", false),
            Self::UnknownService => mapping(Code::NotFound, 404, "UNKNOWN_SERVICE", false),
            Self::InvalidHost(_) => mapping(Code::InvalidArgument, 400, "INVALID_HOST", false),
            Self::Misdirected => mapping(Code::PermissionDenied, 421, "MISDIRECTED_REQUEST", false),
            Self::UnsupportedTransferEncoding => row(
                Code::Unimplemented,
                501,
                "UNSUPPORTED_TRANSFER_ENCODING",
                false,
            ),
            Self::ExpectationFailed => {
                mapping(Code::InvalidArgument, 417, "EXPECTATION_FAILED", false)
            }
            Self::TooManyHeaders => mapping(Code::ResourceExhausted, 431, "TOO_MANY_HEADERS", false),
            Self::AuthError(denied) => denied_row(*denied),
            Self::MerchantOutOfScope(_) => {
                mapping(Code::PermissionDenied, 403, "MERCHANT_OUT_OF_SCOPE", false)
            }
            Self::ResponseTooLarge { .. } => {
                mapping(Code::ResourceExhausted, 429, "RESPONSE_TOO_LARGE", false)
            }
            Self::BytesInFlightLimit => mapping(Code::ResourceExhausted, 429, "BYTES_IN_FLIGHT_LIMIT", true),
            Self::Refused(OrderError::Busy) => {
                mapping(Code::ResourceExhausted, 429, "CONCURRENCY_LIMIT", true)
            }
            Self::Refused(OrderError::NoThread) => NO_THREAD,
            Self::Refused(OrderError::StoreFailed) => {
                mapping(Code::Unavailable, 503, "STORE_UNAVAILABLE", true)
            }
            Self::NotServing => mapping(Code::Unavailable, 503, "NOT_SERVING", true),
            Self::DeadlineExceeded => mapping(Code::DeadlineExceeded, 504, "DEADLINE_EXCEEDED", true),
            Self::Refused(OrderError::Unreadable | OrderError::Bug) | Self::Bug(_) => {
                mapping(Code::Internal, 500, "INTERNAL", false)
            }
        }
    }

    /// What the caller reads: what is wrong, and what to do about it where that is known.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Malformed(text) => format!("the message cannot be decoded: {text}"),
            Self::Invalid(violations) => format!("the request breaks rules of the contract: {violations}"),
            Self::RequestTooLarge => "the message is larger than this server takes".to_owned(),
            Self::UnsupportedEncoding => {
                "this server takes messages uncompressed only: send them with the encoding `identity` or \
                 without any"
                    .to_owned()
            }
            Self::ResponseTooLarge { limit_bytes } => {
                format!("the response would have more than {limit_bytes} bytes; ask for fewer orders, by order_ids, or slots at a time")
            }
            Self::BytesInFlightLimit => {
                "as many bytes are under way as this server takes; try again shortly".to_owned()
            }
            Self::UnknownMethod => "this server has no such method; gRPC reflection lists those it has".to_owned(),
            Self::NotFound => "there is nothing at this URL; callers find the methods at /v3/ and their names, such as /v3/CreateOrder"
                .to_owned(),
            Self::AdminNotFound => format!("there is nothing at this URL; {ADMIN_URLS}"),
            Self::MethodNotAllowed { allowed } => format!("this URL takes {allowed} only"),
            Self::NotJson => "the message has to be JSON, with the header `content-type: application/json`".to_owned(),
            Self::UnsupportedMediaType(lacks) => (*lacks).to_owned(),
            Self::SecondMessage => "the call takes one message, and another one came".to_owned(),
            Self::UnknownService => {
                "this server has no service of that name; its health as a whole goes by the empty name"
                    .to_owned()
            }
            Self::InvalidHost(why) => (*why).to_owned(),
            Self::Misdirected => "this server is not called by that host name".to_owned(),
            Self::UnsupportedTransferEncoding => {
                "this server takes no transfer coding but `chunked`, and that once".to_owned()
            }
            Self::ExpectationFailed => "the header `expect` may only be `100-continue`".to_owned(),
            Self::NotServing => "no orders are taken at present".to_owned(),
            Self::DeadlineExceeded => {
                "the call's time is up; an order may have been created, so repeat it under the same token"
                    .to_owned()
            }
            Self::TooManyHeaders => "the request has more headers than this server takes".to_owned(),
            Self::AuthError(denied) => denied.to_string(),
            Self::MerchantOutOfScope(merchant_id) => {
                format!("this user may not act for the merchant {}", quoted(merchant_id.as_str()))
            }
            Self::Refused(refusal) => refusal.to_string(),
            Self::Bug(_) => "an internal error; it has been logged".to_owned(),
        }
    }

    /// What a program reads: the reason, the fields at fault, when to ask again.
    pub(super) fn details(&self) -> ErrorDetails {
        let row = self.mapping();
        let mut details = ErrorDetails::with_error_info(
            row.reason,
            ERROR_DOMAIN,
            std::collections::HashMap::new(),
        );
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        let fields = self.violated_fields();
        if !fields.is_empty() {
            details.set_bad_request(fields);
        }
        details
    }

    /// When the same request may succeed if it is sent again.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        if let Self::AuthError(AuthError::RateLimited { wait }) = self {
            return Some(*wait);
        }
        self.mapping().retryable.then_some(RETRY_DELAY)
    }

    fn violated_fields(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(violations) => violations
                .iter()
                .map(|found| FieldViolation::new(&found.field, &found.rule))
                .collect(),
            Self::Refused(OrderError::UnknownMerchant) => {
                vec![FieldViolation::new("merchant_id", UNKNOWN_MERCHANT)]
            }
            Self::Refused(OrderError::TokenReused) => {
                vec![FieldViolation::new(
                    "idempotency_token",
                    "was used for another request",
                )]
            }
            Self::Malformed(_)
            | Self::RequestTooLarge
            | Self::ResponseTooLarge { .. }
            | Self::BytesInFlightLimit
            | Self::UnsupportedEncoding
            | Self::UnknownMethod
            | Self::NotFound
            | Self::AdminNotFound
            | Self::MethodNotAllowed { .. }
            | Self::NotJson
            | Self::UnsupportedMediaType(_)
            | Self::SecondMessage
            | Self::UnknownService
            | Self::InvalidHost(_)
            | Self::Misdirected
            | Self::UnsupportedTransferEncoding
            | Self::ExpectationFailed
            | Self::NotServing
            | Self::DeadlineExceeded
            | Self::TooManyHeaders
            | Self::AuthError(_)
            | Self::MerchantOutOfScope(_)
            | Self::Refused(
                OrderError::InProgress
                | OrderError::Busy
                | OrderError::NoThread
                | OrderError::StoreFailed
                | OrderError::Unreadable
                | OrderError::Bug,
            )
            | Self::Bug(_) => Vec::new(),
        }
    }
}

const fn denied_row(denied: AuthError) -> StatusMapping {
    match denied {
        AuthError::MissingCredentials => mapping(Code::Unauthenticated, 401, "CREDENTIALS_MISSING", false),
        AuthError::MalformedCredentials => mapping(Code::Unauthenticated, 401, "CREDENTIALS_MALFORMED", false),
        AuthError::InvalidCredentials => mapping(Code::Unauthenticated, 401, "CREDENTIALS_INVALID", false),
        AuthError::MissingCertificate => mapping(Code::Unauthenticated, 401, "CLIENT_CERTIFICATE_MISSING", false),
        AuthError::TransportOutOfScope => {
            mapping(Code::PermissionDenied, 403, "TRANSPORT_OUT_OF_SCOPE", false)
        }
        AuthError::MethodOutOfScope => mapping(Code::PermissionDenied, 403, "METHOD_OUT_OF_SCOPE", false),
        AuthError::CertificateNotAllowed => row(
            Code::PermissionDenied,
            403,
            "CLIENT_CERTIFICATE_NOT_ALLOWED",
            false,
        ),
        AuthError::VerificationLimit => mapping(Code::ResourceExhausted, 429, "PASSWORD_VERIFICATION_LIMIT", true),
        AuthError::NoThread => NO_THREAD,
        AuthError::RateLimited { .. } => mapping(Code::ResourceExhausted, 429, "RATE_LIMITED", true),
        AuthError::ConcurrencyLimit => row(
            Code::ResourceExhausted,
            429,
            "CALLER_CONCURRENCY_LIMIT",
            true,
        ),
    }
}

impl From<AuthError> for ApiError {
    fn from(denied: AuthError) -> Self {
        Self::AuthError(denied)
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut metadata = MetadataMap::new();
        if error == ApiError::UnsupportedEncoding {
            metadata.insert(ACCEPTED_ENCODINGS, MetadataValue::from_static("identity"));
        }
        let (code, message) = (error.mapping().grpc, error.message());
        Self::with_error_details_and_metadata(code, message, error.details(), metadata)
    }
}

impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<OrderError> for ApiError {
    fn from(refusal: OrderError) -> Self {
        Self::Refused(refusal)
    }
}
