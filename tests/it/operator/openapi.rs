//! The description of each interface, where it is served.

use boxoffice::api::{booking, operator};
use http::Method;

use super::stage::Stage;
use crate::support::rest_client::{send, without_body};

#[tokio::test]
async fn each_interface_describes_itself() {
    let stage = Stage::start().await;
    let callers = stage.server.server.address();
    for (address, expected) in [
        (stage.address, operator::rest::OPENAPI),
        (callers, booking::rest::OPENAPI),
    ] {
        let answer = send(address, without_body(Method::GET, "/openapi.json")).await;
        assert_eq!(answer.json()["openapi"], "3.1.0");
        assert_eq!(answer.body, expected);
        let posted = send(address, without_body(Method::POST, "/openapi.json")).await;
        assert_eq!(posted.outcome().0, 405);
    }
    stage.stop().await;
}
