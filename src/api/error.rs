//! The one table of errors: gRPC code, HTTP status, reason and retryability of everything that a caller can be
//! answered instead of a response. `docs/errors.md` has the same table.

use std::{collections::HashMap, time::Duration};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::booking::requests::{UNKNOWN_MERCHANT, Violations};
use crate::{api::auth::AuthError, net::request_bodies::BodyError};
use domain::ids::{MerchantId, OrderId};
use kernel::diagnostics::quoted;
use orders::{OrderError, update::ChangeError};

mod changes;

use changes::{change_mapping, changed_field};

/// The domain of our `google.rpc.ErrorInfo` reasons.
pub const ERROR_DOMAIN: &str = "boxoffice";

/// The gRPC header that lists the encodings a server accepts.
const ACCEPTED_ENCODINGS: &str = "grpc-accept-encoding";

/// The endpoints of the admin listener, as its answers list them.
pub const ADMIN_URLS: &str = "this is the admin listener: /livez, /readyz, /metrics and /feeds, and \
                              grpc.health.v1.Health over gRPC";

/// After which a retryable request should be repeated, unless the error knows better.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A row of the table: how an error is reported over every transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusMapping {
    /// The machine-readable reason, in `google.rpc.ErrorInfo`.
    pub reason: &'static str,
    /// The gRPC code.
    pub grpc: Code,
    /// The HTTP status of the same error.
    pub http: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// When the error occurs, for the documentation.
    pub when: &'static str,
}

/// Whether repeating the same request can help, as the table says it.
mod retry {
    pub(super) const YES: bool = true;
    pub(super) const NO: bool = false;
}

macro_rules! error_table {
    ($($reason:ident $grpc:ident $http:literal retry $retry:ident: $when:literal;)*) => {
        $(const $reason: StatusMapping = StatusMapping {
            reason: stringify!($reason),
            grpc: Code::$grpc,
            http: $http,
            retryable: retry::$retry,
            when: $when,
        };)*

        /// Every row, in the order of the documentation.
        pub const ERROR_TABLE: &[StatusMapping] = &[$($reason),*];
    };
}

error_table! {
    INVALID_REQUEST InvalidArgument 400 retry NO:
        "A field violates a rule of the contract, or over REST has a value of the wrong type. \
         `google.rpc.BadRequest` lists the first 20 fields with their paths; the text counts the others.";
    MALFORMED_MESSAGE InvalidArgument 400 retry NO:
        "The body is not a message of this method: it cannot be decoded, is framed wrongly for gRPC, or is followed \
         by a second message.";
    TOKEN_REUSED InvalidArgument 400 retry NO:
        "The idempotency token belongs to a different request, or to an order of another user.";
    REQUEST_ID_REUSED InvalidArgument 400 retry NO:
        "Operator's service: the request id belongs to a different request on this order.";
    NO_TRANSITION FailedPrecondition 400 retry NO:
        "Operator's service: the lifecycle does not lead from the state of a part to the one that is asked for.";
    CONDITION_NOT_MET FailedPrecondition 400 retry NO:
        "Operator's service: a condition of the lifecycle does not hold; the text names it.";
    NOT_AWAITED FailedPrecondition 400 retry NO:
        "Operator's service: the order does not wait for this decision of its customer or its merchant.";
    NO_REFUND_TERMS FailedPrecondition 400 retry NO:
        "Operator's service: the policy is to decide on a refund, and the item was sold without one.";
    REFUND_NOT_POSSIBLE FailedPrecondition 400 retry NO:
        "Operator's service: there is nothing to give back, less than that, or another amount by the lifecycle; or Google has the money.";
    BLOCK_REPLACED FailedPrecondition 400 retry NO:
        "Operator's service: spots of the slot were put on sale again since the withdrawal that is repeated.";
    ORDERS_KEPT FailedPrecondition 400 retry NO:
        "Operator's service: the lifecycle does not let some orders of a slot be withdrawn; all others are.";
    LIFECYCLE_CONFLICT FailedPrecondition 400 retry NO:
        "Operator's service: the lifecycle has no such change, or cannot make it.";
    NOT_PUBLISHED FailedPrecondition 400 retry NO:
        "Operator's service: the lifecycle comes from the setting `lifecycle`, or the draft lacks states that orders are \
         in, or is in force already.";
    INVALID_HOST InvalidArgument 400 retry NO:
        "HTTP/1.1 without exactly one valid `host`, or `host` and `:authority` differ.";
    CREDENTIALS_MISSING Unauthenticated 401 retry NO:
        "`authorization` is missing.";
    CREDENTIALS_MALFORMED Unauthenticated 401 retry NO:
        "`authorization` is not exactly one HTTP Basic credential.";
    CREDENTIALS_INVALID Unauthenticated 401 retry NO:
        "The user name or the password is wrong.";
    CLIENT_CERTIFICATE_MISSING Unauthenticated 401 retry NO:
        "The connection has no client certificate, and `client_ca` requires one.";
    CLIENT_CERTIFICATE_NOT_ALLOWED PermissionDenied 403 retry NO:
        "The client certificate carries none of the `client_names`.";
    TRANSPORT_OUT_OF_SCOPE PermissionDenied 403 retry NO:
        "The scope of the user does not include this transport.";
    METHOD_OUT_OF_SCOPE PermissionDenied 403 retry NO:
        "The scope of the user does not include this method.";
    MERCHANT_OUT_OF_SCOPE PermissionDenied 403 retry NO:
        "The scope of the user does not include this merchant, whether or not the merchant exists. Operator's service: the method is about the whole server, and the scope names merchants.";
    ROLE_OUT_OF_SCOPE PermissionDenied 403 retry NO:
        "Operator's service: the role of the user does not permit the method, or a field of the request.";
    NOT_FOUND NotFound 404 retry NO:
        "REST: the URL does not exist.";
    ORDER_NOT_FOUND NotFound 404 retry NO:
        "Operator's service: there is no order of this name, or not for this user.";
    SLOT_NOT_FOUND NotFound 404 retry NO:
        "Operator's service: there is no such slot in the catalogue, or not for this user.";
    STEP_NOT_FOUND NotFound 404 retry NO:
        "Operator's service: the order has no open step of this number.";
    DRAFT_NOT_FOUND NotFound 404 retry NO:
        "Operator's service: the lifecycle has no draft.";
    UNKNOWN_SERVICE NotFound 404 retry NO:
        "gRPC: a health check of an unknown service.";
    METHOD_NOT_ALLOWED Unimplemented 405 retry NO:
        "The HTTP method is not one of those in `Allow`.";
    ORDER_IN_PROGRESS Aborted 409 retry YES:
        "At the deadline, the creation of an order with this idempotency token, or a change of this order or slot, is \
         still in progress.";
    ORDER_CHANGED Aborted 409 retry NO:
        "Operator's service: the order has changed since its `etag` was read.";
    NOT_IN_STATE Aborted 409 retry NO:
        "Operator's service: a part of the order is not in the state that the request expects.";
    ORDER_CONTENDED Aborted 409 retry YES:
        "Operator's service: the order has changed at each attempt to change it.";
    SPOTS_IN_FLIGHT Aborted 409 retry YES:
        "Operator's service: orders in flight still take spots of a slot that is being withdrawn.";
    REQUEST_TOO_LARGE ResourceExhausted 413 retry NO:
        "The request exceeds `max_request_bytes`.";
    UNSUPPORTED_MEDIA_TYPE InvalidArgument 415 retry NO:
        "REST: `content-type` is not `application/json`. gRPC: `content-type` is not one of gRPC or gRPC-Web, or gRPC \
         is sent over HTTP/1.1.";
    UNSUPPORTED_ENCODING Unimplemented 415 retry NO:
        "The message is compressed. The server accepts `identity` only.";
    EXPECTATION_FAILED InvalidArgument 417 retry NO:
        "`expect` is not `100-continue`.";
    MISDIRECTED_REQUEST PermissionDenied 421 retry NO:
        "The host name is not one of `allowed_hosts`.";
    RATE_LIMITED ResourceExhausted 429 retry YES:
        "The caller exceeds `caller_rate`. The retry delay is the time until its next call is allowed.";
    CALLER_CONCURRENCY_LIMIT ResourceExhausted 429 retry YES:
        "The caller exceeds `caller_max_in_flight`.";
    CONCURRENCY_LIMIT ResourceExhausted 429 retry YES:
        "The server has reached `max_in_flight`, counting orders whose callers have disconnected.";
    PASSWORD_VERIFICATION_LIMIT ResourceExhausted 429 retry YES:
        "Too many passwords that are not cached wait for verification.";
    BYTES_IN_FLIGHT_LIMIT ResourceExhausted 429 retry YES:
        "`max_request_bytes_in_flight` or `max_response_bytes_in_flight` is reached, or a request was slow to arrive \
         while others needed the room.";
    RESPONSE_TOO_LARGE ResourceExhausted 429 retry NO:
        "The response exceeds `max_response_bytes`.";
    TOO_MANY_HEADERS ResourceExhausted 431 retry NO:
        "The request exceeds `max_headers`. A request whose head is too long gets the HTTP status without a body.";
    INTERNAL Internal 500 retry NO:
        "A bug, or a record that cannot be read. Details are in the server log, not in the answer.";
    UNKNOWN_METHOD Unimplemented 501 retry NO:
        "gRPC: the method does not exist, or this version of the server does not serve it.";
    UNSUPPORTED_TRANSFER_ENCODING Unimplemented 501 retry NO:
        "`transfer-encoding` is not exactly `chunked`.";
    SHUTTING_DOWN Unavailable 503 retry YES:
        "Operator's service: the server shuts down, which ends a stream without an end of its own.";
    NOT_SERVING Unavailable 503 retry YES:
        "REST health check: the store has failed, or the server is shutting down.";
    STORE_UNAVAILABLE Unavailable 503 retry YES:
        "Orders cannot be recorded. After a failed write the server needs a restart; a store that cannot be reached, \
         or has no segment to write to, comes back by itself.";
    THREADS_EXHAUSTED Unavailable 503 retry YES:
        "The system does not give the server a thread for the work.";
    DEADLINE_EXCEEDED DeadlineExceeded 504 retry YES:
        "The deadline of the call has passed. An order may have been created: repeat the request with the same token.";
}

/// Why a call has no response of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// The bytes are not the message they should be.
    Malformed(String),
    /// The message breaks rules of requests.
    Invalid(Violations),
    /// The request exceeds its size limit.
    RequestTooLarge,
    /// The response would exceed its size limit.
    ResponseTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The budget of bytes in flight is used up.
    BytesInFlightLimit,
    /// The message is compressed.
    UnsupportedEncoding,
    /// There is no such gRPC method.
    UnknownMethod,
    /// There is nothing at this URL.
    NotFound,
    /// There is nothing at this URL of the admin listener.
    AdminNotFound,
    /// There is nothing at this URL of the operator's listener.
    OperatorNotFound,
    /// There is no order of this id.
    OrderNotFound(OrderId),
    /// An order is not changed.
    Change(ChangeError),
    /// The lifecycle has no draft.
    DraftNotFound,
    /// The draft of the lifecycle is not put in force; the text says why.
    NotPublished(String),
    /// The method is published, and this version does not serve it.
    NotServed,
    /// The URL does not take this HTTP method.
    MethodNotAllowed {
        /// The methods that it takes, with commas between.
        allowed: &'static str,
    },
    /// The content type, or the protocol under it, is not one of this endpoint; the text says what is missing.
    UnsupportedMediaType(&'static str),
    /// A unary method was sent a second message.
    SecondMessage,
    /// There is no such service to ask the health of.
    UnknownService,
    /// `host` is missing, repeated or invalid; the text says which.
    InvalidHost(&'static str),
    /// The request is for a host name that is not served.
    Misdirected,
    /// The body has a transfer coding other than chunked.
    UnsupportedTransferEncoding,
    /// The header `expect` has something else than `100-continue`.
    ExpectationFailed,
    /// The store has failed, or the server is shutting down.
    NotServing,
    /// The server shuts down.
    ShuttingDown,
    /// The deadline has passed. What the call began may yet be done.
    DeadlineExceeded,
    /// The request has too many headers.
    TooManyHeaders,
    /// The caller may not make the call, or not now.
    Auth(AuthError),
    /// The user's scope does not have this merchant, whether or not there is one.
    MerchantOutOfScope(MerchantId),
    /// The application rejects the request.
    Order(OrderError),
    /// The store has failed, and records nothing more until a restart.
    RestartNeeded,
    /// Records of the store cannot be read or overwritten. The text is for the operator: it names places and no customer.
    Unreadable(String),
    /// A bug. The text is for the log and not for the caller.
    Internal(String),
}

impl ApiError {
    /// The row of the table.
    #[must_use]
    pub fn mapping(&self) -> StatusMapping {
        match self {
            Self::Malformed(_) | Self::SecondMessage => MALFORMED_MESSAGE,
            Self::Invalid(_) => INVALID_REQUEST,
            Self::RequestTooLarge => REQUEST_TOO_LARGE,
            Self::ResponseTooLarge { .. } => RESPONSE_TOO_LARGE,
            Self::BytesInFlightLimit => BYTES_IN_FLIGHT_LIMIT,
            Self::UnsupportedEncoding => UNSUPPORTED_ENCODING,
            Self::UnknownMethod | Self::NotServed => UNKNOWN_METHOD,
            Self::NotFound | Self::AdminNotFound | Self::OperatorNotFound => NOT_FOUND,
            Self::OrderNotFound(_) => ORDER_NOT_FOUND,
            Self::Change(error) => change_mapping(error),
            Self::DraftNotFound => DRAFT_NOT_FOUND,
            Self::NotPublished(_) => NOT_PUBLISHED,
            Self::MethodNotAllowed { .. } => METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType(_) => UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownService => UNKNOWN_SERVICE,
            Self::InvalidHost(_) => INVALID_HOST,
            Self::Misdirected => MISDIRECTED_REQUEST,
            Self::UnsupportedTransferEncoding => UNSUPPORTED_TRANSFER_ENCODING,
            Self::ExpectationFailed => EXPECTATION_FAILED,
            Self::NotServing => NOT_SERVING,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::DeadlineExceeded => DEADLINE_EXCEEDED,
            Self::TooManyHeaders => TOO_MANY_HEADERS,
            Self::Auth(error) => auth_mapping(*error),
            Self::MerchantOutOfScope(_) => MERCHANT_OUT_OF_SCOPE,
            Self::Order(error) => order_mapping(error),
            Self::RestartNeeded => STORE_UNAVAILABLE,
            Self::Unreadable(_) | Self::Internal(_) => INTERNAL,
        }
    }

    /// The text for the caller: the error, what to do about it where that is known, and when to
    /// retry.
    #[must_use]
    pub fn message(&self) -> String {
        let text = self.text();
        match self.retry_delay() {
            Some(delay) => format!("{text}; retry after {} ms", delay.as_millis()),
            None => text,
        }
    }

    fn text(&self) -> String {
        let text = match self {
            Self::Malformed(text) => return format!("the message cannot be decoded: {text}"),
            Self::Invalid(violations) => return format!("invalid request: {violations}"),
            Self::ResponseTooLarge { limit_bytes } => {
                return format!(
                    "the response exceeds {limit_bytes} bytes; request fewer orders, by order_ids, or fewer slots"
                );
            }
            Self::AdminNotFound => return format!("no such URL; {ADMIN_URLS}"),
            Self::OrderNotFound(id) => return format!("there is no order {}", quoted(id.as_str())),
            Self::MethodNotAllowed { allowed } => return format!("this URL allows {allowed} only"),
            Self::MerchantOutOfScope(merchant_id) => {
                return format!(
                    "this user may not act for the merchant {}",
                    quoted(merchant_id.as_str())
                );
            }
            Self::Auth(error) => return error.to_string(),
            Self::Unreadable(text) | Self::NotPublished(text) => return text.clone(),
            Self::Order(error) => return error.to_string(),
            Self::Change(error) => return error.to_string(),
            Self::RequestTooLarge => "the request exceeds the size limit of this server",
            Self::BytesInFlightLimit => "too many bytes of requests and responses in flight",
            Self::UnsupportedEncoding => {
                "compressed messages are not supported: send the encoding `identity`, or none"
            }
            Self::UnknownMethod => {
                "unknown method; gRPC reflection lists the methods of this server"
            }
            Self::NotFound => {
                "no such URL; methods are at /v3/ and their names, such as /v3/CreateOrder"
            }
            Self::OperatorNotFound => {
                "no such URL; /openapi.json describes those of this address, which begin with /operator/v1/"
            }
            Self::DraftNotFound => "the lifecycle has no draft",
            Self::NotServed => "this version of the server does not serve this method",
            Self::UnsupportedMediaType(text) | Self::InvalidHost(text) => text,
            Self::SecondMessage => "a second message; the method takes one",
            Self::UnknownService => "unknown service; the empty name stands for the whole server",
            Self::Misdirected => "the host name is not one of this server's",
            Self::UnsupportedTransferEncoding => {
                "the only supported transfer-encoding is `chunked`, once"
            }
            Self::ExpectationFailed => "the only supported `expect` is `100-continue`",
            Self::NotServing => "not serving: no orders can be created at present",
            Self::ShuttingDown => "the server shuts down",
            Self::DeadlineExceeded => {
                "deadline exceeded; an order may have been created, so repeat the request with the same \
                 idempotency_token"
            }
            Self::TooManyHeaders => "too many headers",
            Self::RestartNeeded => {
                "the store has failed: nothing is recorded until the server is restarted"
            }
            Self::Internal(_) => "internal error; details are in the server log",
        };
        text.to_owned()
    }

    /// The details for programs: the reason, the violated fields, and the retry delay.
    pub(crate) fn details(&self) -> ErrorDetails {
        let mapping = self.mapping();
        let mut metadata = HashMap::new();
        if let Self::Change(error) = self {
            for (name, value) in error.rule() {
                metadata.insert(name.to_owned(), value);
            }
        }
        let mut details = ErrorDetails::with_error_info(mapping.reason, ERROR_DOMAIN, metadata);
        // Only for retryable errors: clients take this detail as permission to retry.
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        let fields = self.violated_fields();
        if !fields.is_empty() {
            details.set_bad_request(fields);
        }
        details
    }

    /// The time after which the same request may succeed; `None` if it never will.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        if let Self::Auth(AuthError::RateLimited { wait }) = self {
            return Some(*wait);
        }
        // No wait helps before the restart.
        if matches!(self, Self::RestartNeeded) {
            return None;
        }
        self.mapping().retryable.then_some(RETRY_DELAY)
    }

    fn violated_fields(&self) -> Vec<FieldViolation> {
        let one = |field: &str, rule: &str| vec![FieldViolation::new(field, rule)];
        if let Self::Invalid(violations) = self {
            return violations
                .iter()
                .map(|found| FieldViolation::new(&found.field, &found.rule))
                .collect();
        }
        if let Self::Change(error) = self {
            let field = changed_field(error);
            return field.map_or_else(Vec::new, |field| one(field, &error.to_string()));
        }
        let Self::Order(error) = self else {
            return Vec::new();
        };
        match error {
            OrderError::UnknownMerchant => one("merchant_id", UNKNOWN_MERCHANT),
            OrderError::TokenReused => one("idempotency_token", "was used for a different request"),
            OrderError::InProgress
            | OrderError::ChangeInProgress
            | OrderError::Busy
            | OrderError::NoThread
            | OrderError::StoreFailed
            | OrderError::StoreUnavailable
            | OrderError::Unreadable
            | OrderError::Bug => Vec::new(),
        }
    }
}

const fn auth_mapping(error: AuthError) -> StatusMapping {
    match error {
        AuthError::MissingCredentials => CREDENTIALS_MISSING,
        AuthError::MalformedCredentials => CREDENTIALS_MALFORMED,
        AuthError::InvalidCredentials => CREDENTIALS_INVALID,
        AuthError::VerificationLimit => PASSWORD_VERIFICATION_LIMIT,
        AuthError::NoThread => THREADS_EXHAUSTED,
        AuthError::MissingCertificate => CLIENT_CERTIFICATE_MISSING,
        AuthError::CertificateNotAllowed => CLIENT_CERTIFICATE_NOT_ALLOWED,
        AuthError::RateLimited { .. } => RATE_LIMITED,
        AuthError::ConcurrencyLimit => CALLER_CONCURRENCY_LIMIT,
        AuthError::TransportOutOfScope => TRANSPORT_OUT_OF_SCOPE,
        AuthError::MethodOutOfScope => METHOD_OUT_OF_SCOPE,
        AuthError::RoleOutOfScope => ROLE_OUT_OF_SCOPE,
        AuthError::ServerOutOfScope => MERCHANT_OUT_OF_SCOPE,
    }
}

/// The row whose reason is [`OrderError::reason`]. A match, so that a new error without a row does not compile.
const fn order_mapping(error: &OrderError) -> StatusMapping {
    match error {
        OrderError::UnknownMerchant => INVALID_REQUEST,
        OrderError::TokenReused => TOKEN_REUSED,
        OrderError::InProgress | OrderError::ChangeInProgress => ORDER_IN_PROGRESS,
        OrderError::Busy => CONCURRENCY_LIMIT,
        OrderError::NoThread => THREADS_EXHAUSTED,
        OrderError::StoreFailed | OrderError::StoreUnavailable => STORE_UNAVAILABLE,
        OrderError::Unreadable | OrderError::Bug => INTERNAL,
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut metadata = MetadataMap::new();
        if error == ApiError::UnsupportedEncoding {
            // The gRPC protocol demands the list with this error.
            metadata.insert(ACCEPTED_ENCODINGS, MetadataValue::from_static("identity"));
        }
        let (code, message) = (error.mapping().grpc, error.message());
        Self::with_error_details_and_metadata(code, message, error.details(), metadata)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::RequestTooLarge,
            BodyError::BrokenOff(how) => Self::Malformed(how),
            BodyError::BytesInFlightLimit => Self::BytesInFlightLimit,
            // The body counts against the time of the call, so this is the same error to a client.
            BodyError::TimedOut => Self::DeadlineExceeded,
        }
    }
}

impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        Self::Order(error)
    }
}

/// The published name of a status.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write};

    use super::*;

    fn table() -> String {
        let mut table = String::from(
            "| Reason | gRPC code | HTTP status | Retry | When |\n|---|---|---|---|---|\n",
        );
        for row in ERROR_TABLE {
            let StatusMapping {
                reason,
                grpc,
                http,
                retryable,
                when,
            } = row;
            let retry = if *retryable { "yes" } else { "no" };
            let code = code_name(*grpc);
            writeln!(
                table,
                "| `{reason}` | `{code}` | {http} | {retry} | {when} |"
            )
            .unwrap();
        }
        table
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        let document = std::fs::read_to_string(document).unwrap();
        let found = document
            .split_once("<!-- errors -->\n")
            .and_then(|(_, rest)| rest.split_once("<!-- /errors -->"))
            .map_or("", |(table, _)| table);
        let expected = table();
        assert!(
            found.trim() == expected.trim(),
            "between `<!-- errors -->` and `<!-- /errors -->`, docs/errors.md should have:\n\n{expected}"
        );
    }

    #[test]
    fn a_reason_has_one_row_and_rows_are_in_the_order_of_their_http_status() {
        let reasons: BTreeSet<_> = ERROR_TABLE.iter().map(|row| row.reason).collect();
        assert_eq!(reasons.len(), ERROR_TABLE.len());
        assert!(ERROR_TABLE.is_sorted_by_key(|row| row.http));
    }

    #[test]
    fn every_error_of_a_use_case_has_the_row_of_its_reason() {
        for (error, http) in [
            (OrderError::UnknownMerchant, 400),
            (OrderError::TokenReused, 400),
            (OrderError::InProgress, 409),
            (OrderError::ChangeInProgress, 409),
            (OrderError::Busy, 429),
            (OrderError::NoThread, 503),
            (OrderError::StoreFailed, 503),
            (OrderError::StoreUnavailable, 503),
            (OrderError::Unreadable, 500),
            (OrderError::Bug, 500),
        ] {
            let reason = error.reason();
            let mapping = ApiError::Order(error).mapping();
            assert_eq!((mapping.reason, mapping.http), (reason, http));
        }
    }

    #[test]
    fn every_change_that_is_not_made_has_the_row_of_its_reason() {
        let part = domain::lifecycle::OrderPart::ORDER;
        let amount = domain::money::Money::zero(domain::money::Currency::from_code("USD").unwrap());
        let (from, to, state) = (String::new(), String::new(), String::new());
        for error in [
            ChangeError::UnknownOrder,
            ChangeError::UnknownSlot,
            ChangeError::BlockReplaced,
            ChangeError::SpotsInFlight,
            ChangeError::OrdersKept {
                count: 1,
                named: String::new(),
            },
            ChangeError::RequestReused,
            ChangeError::RevisionChanged {
                expected: 1,
                found: 2,
            },
            ChangeError::Contended,
            ChangeError::NotInState { part, state },
            ChangeError::NoTransition {
                part,
                from,
                to: to.clone(),
                allowed: Vec::new(),
            },
            ChangeError::Condition {
                part,
                to,
                condition: String::new(),
            },
            ChangeError::NotAwaited,
            ChangeError::NothingToConfirm,
            ChangeError::NoSuchState("confirmed"),
            ChangeError::NoPolicy { item: 0 },
            ChangeError::NoBill,
            ChangeError::NothingToRefund,
            ChangeError::PaidToGoogle,
            ChangeError::AmountTooHigh { available: amount },
            ChangeError::OtherCurrency("USD"),
            ChangeError::OtherAmount { given: amount },
            ChangeError::NoStep(1),
            ChangeError::Lifecycle(String::new()),
            ChangeError::Invalid(Vec::new()),
            ChangeError::Order(OrderError::ChangeInProgress),
        ] {
            let reason = error.reason();
            assert_eq!(ApiError::from(error).mapping().reason, reason);
        }
    }

    #[test]
    fn an_error_that_can_be_retried_says_when() {
        let wait = Duration::from_millis(37);
        for (error, expected) in [
            (
                ApiError::Order(OrderError::Busy),
                "too many concurrent calls; retry after 200 ms",
            ),
            (
                ApiError::Auth(AuthError::RateLimited { wait }),
                "this caller exceeds its rate limit; retry after 37 ms",
            ),
            (ApiError::TooManyHeaders, "too many headers"),
            (
                ApiError::RestartNeeded,
                "the store has failed: nothing is recorded until the server is restarted",
            ),
        ] {
            assert_eq!(error.message(), expected);
        }
    }

    #[test]
    fn an_order_that_is_not_changed_says_why_and_names_the_field() {
        let part = domain::lifecycle::OrderPart::ORDER;
        for (error, code, reason, field) in [
            (
                ChangeError::RevisionChanged {
                    expected: 1,
                    found: 2,
                },
                Code::Aborted,
                "ORDER_CHANGED",
                Some("etag"),
            ),
            (
                ChangeError::NotInState {
                    part,
                    state: "a".into(),
                },
                Code::Aborted,
                "NOT_IN_STATE",
                Some("from_state"),
            ),
            (
                ChangeError::RequestReused,
                Code::InvalidArgument,
                "REQUEST_ID_REUSED",
                Some("request_id"),
            ),
            (
                ChangeError::NoPolicy { item: 0 },
                Code::FailedPrecondition,
                "NO_REFUND_TERMS",
                Some("refund"),
            ),
            (
                ChangeError::NotAwaited,
                Code::FailedPrecondition,
                "NOT_AWAITED",
                None,
            ),
            (
                ChangeError::NoStep(1),
                Code::NotFound,
                "STEP_NOT_FOUND",
                Some("name"),
            ),
            (
                ChangeError::Contended,
                Code::Aborted,
                "ORDER_CONTENDED",
                None,
            ),
            (
                ChangeError::Order(OrderError::StoreFailed),
                Code::Unavailable,
                "STORE_UNAVAILABLE",
                None,
            ),
        ] {
            let error = ApiError::from(error);
            let mapping = error.mapping();
            assert_eq!((mapping.grpc, mapping.reason), (code, reason));
            let fields = error.violated_fields();
            let found: Vec<&str> = fields.iter().map(|found| &*found.field).collect();
            assert_eq!(found, Vec::from_iter(field), "{reason}");
        }
    }
}
