//! A connection to the operator's services of a server.

use std::{ffi::OsString, fmt, time::Duration};

use data_encoding::BASE64;
use http::Uri;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{
    api::operator::proto::v1::{
        lifecycle_service_client::LifecycleServiceClient, order_service_client::OrderServiceClient,
        slot_service_client::SlotServiceClient,
    },
    cli::error::CliError,
    config::LOGIN_VARIABLE,
};

/// Time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum RequestFailed {
    /// There is no connection.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// TLS needs an authority.
    #[error("with https, --ca has to name the authority of the server's certificate")]
    NoAuthority,
    /// The server rejects the request.
    #[error("{}", .0.message())]
    Rejected(Box<Status>),
}

impl RequestFailed {
    /// Whether the request is at fault and not the server.
    pub(in crate::cli) fn is_of_request(&self) -> bool {
        match self {
            Self::Rejected(status) => matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::NotFound
                    | Code::Aborted
                    | Code::FailedPrecondition
                    | Code::Unauthenticated
                    | Code::PermissionDenied
            ),
            Self::NoAuthority => true,
            Self::Unreachable(_) => false,
        }
    }
}

impl From<Status> for RequestFailed {
    fn from(status: Status) -> Self {
        Self::Rejected(Box::new(status))
    }
}

/// A user name and a password, as the header that shows them.
#[derive(Clone, PartialEq)]
pub(super) struct Login(MetadataValue<Ascii>);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(withheld)")
    }
}

impl Login {
    /// Reads `name:password`; a line end after it does not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let (name, _) = text.split_once(':')?;
        if name.is_empty() {
            return None;
        }
        let mut header: MetadataValue<Ascii> = format!("Basic {}", BASE64.encode(text.as_bytes()))
            .parse()
            .ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }

    /// The login of the variable, if it is set.
    pub(super) fn from_environment(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Option<Self>, CliError> {
        let mut variables = environment.into_iter();
        let Some((_, value)) = variables.find(|(name, _)| name == LOGIN_VARIABLE) else {
            return Ok(None);
        };
        let login = value.to_str().and_then(Self::parse);
        let login = login.ok_or_else(|| CliError::Login(LOGIN_VARIABLE.to_owned()))?;
        Ok(Some(login))
    }
}

/// Adds the login to each request.
#[derive(Debug, Clone)]
pub(super) struct WithLogin(Option<Login>);

impl Interceptor for WithLogin {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Login(header)) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// A connection.
pub(super) struct Connection {
    channel: Channel,
    login: WithLogin,
}

impl Connection {
    /// Connects to a server, with TLS if its address says so.
    pub(super) async fn open(
        server: &Uri,
        authority: Option<Vec<u8>>,
        login: Option<Login>,
    ) -> Result<Self, RequestFailed> {
        let unreachable = |error: tonic::transport::Error| {
            // The library says what has failed, and its sources why.
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text = error.to_string();
                source = error.source();
            }
            RequestFailed::Unreachable(text)
        };
        let mut endpoint = Endpoint::from(server.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if server.scheme_str() == Some("https") {
            let authority = authority.ok_or(RequestFailed::NoAuthority)?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            endpoint = endpoint.tls_config(tls).map_err(unreachable)?;
        }
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let login = WithLogin(login);
        Ok(Self { channel, login })
    }

    pub(super) fn orders(&self) -> OrderServiceClient<InterceptedService<Channel, WithLogin>> {
        OrderServiceClient::with_interceptor(self.channel.clone(), self.login.clone())
            // What the server sends is what was asked for; a limit would cut long pages.
            .max_decoding_message_size(usize::MAX)
    }

    pub(super) fn slots(&self) -> SlotServiceClient<InterceptedService<Channel, WithLogin>> {
        SlotServiceClient::with_interceptor(self.channel.clone(), self.login.clone())
            .max_decoding_message_size(usize::MAX)
    }
}

impl Connection {
    pub(super) fn lifecycle(
        &self,
    ) -> LifecycleServiceClient<InterceptedService<Channel, WithLogin>> {
        LifecycleServiceClient::with_interceptor(self.channel.clone(), self.login.clone())
            .max_decoding_message_size(usize::MAX)
    }
}

/// The address of a server.
pub(super) fn parse_server(text: &str) -> Result<Uri, String> {
    let server = text.parse::<Uri>().ok().filter(|server| {
        matches!(server.scheme_str(), Some("http" | "https")) && server.authority().is_some()
    });
    server.ok_or_else(|| "expected an address like http://127.0.0.1:50053".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_name_and_a_password() {
        let header = |text: &str| {
            let login = Login::parse(text)?;
            Some(login.0.to_str().unwrap().to_owned())
        };
        for text in ["ada:pass:word", "ada:pass:word\n", "ada:pass:word\r\n"] {
            assert_eq!(header(text).as_deref(), Some("Basic YWRhOnBhc3M6d29yZA=="));
        }
        for text in ["", "ada", ":password"] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
