//! A service that answers with what it was given, one body after the other.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

/// Stands between two bodies.
const SEPARATOR: u8 = b'\x1e';
/// After so many requests it answers no more: pages that never end must end all the same.
const MOST: usize = 200;
/// The statuses that a byte can stand for.
const STATUSES: [u16; 12] = [200, 200, 200, 200, 204, 301, 400, 403, 404, 412, 429, 500];

#[derive(Clone)]
pub(super) struct Answers(Arc<Mutex<Script>>);

struct Script {
    status: u16,
    bodies: Vec<Vec<u8>>,
    asked: usize,
}

impl Answers {
    /// All answers have this status; the last body is given again and again.
    pub(super) fn new(status: u8, bodies: &[u8]) -> Self {
        let bodies = bodies.split(|byte| *byte == SEPARATOR).map(<[u8]>::to_vec).collect();
        let status = STATUSES[usize::from(status.wrapping_sub(b'0')) % STATUSES.len()];
        Self(Arc::new(Mutex::new(Script { status, bodies, asked: 0 })))
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

impl HttpConnector for Answers {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = script.asked;
        script.asked += 1;
        let body = script.bodies.get(number).or(script.bodies.last()).cloned().unwrap_or_default();
        HttpConnectorFuture::ready(match StatusCode::try_from(script.status) {
            Ok(status) if number < MOST => Ok(HttpResponse::new(status, SdkBody::from(body))),
            _ => Err(ConnectorError::io("nobody answers any more".into())),
        })
    }
}

impl HttpClient for Answers {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
