//! What went through the proxy.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::{body::Bytes, http::request::Parts};
use serde_json::{Value, json};

use super::aws;

/// One request, and what became of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// The position in the order in which requests arrived, from 0.
    pub number: usize,
    /// When the request had arrived in full, counted from the start of the proxy.
    pub at: Duration,
    /// The HTTP method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The service that the request is signed for, such as `dynamodb`.
    pub service: Option<String>,
    /// The region that the request is signed for.
    pub region: Option<String>,
    /// The operation, such as `PutItem`; for services whose requests do not name one, the method and the
    /// path without the query, such as `POST /2013-04-01/hostedzone/Z1/rrset/`.
    pub operation: String,
    /// The body.
    pub body: Bytes,
    /// The fault that was injected, if one was.
    pub fault: Option<&'static str>,
    /// The status that upstream answered. Nothing: it was not reached, or has not answered (yet).
    pub upstream: Option<u16>,
    /// The status that the client was told. Nothing: its answer was withheld or lost, or is still to come.
    pub answered: Option<u16>,
    /// What went wrong without being asked to, such as an upstream that does not listen.
    pub error: Option<String>,
}

impl Exchange {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn to_json(&self) -> Value {
        let mut row = json!({
            "number": self.number,
            "at_ms": u64::try_from(self.at.as_millis()).unwrap_or(u64::MAX),
            "method": self.method,
            "path": self.path,
            "service": self.service,
            "region": self.region,
            "operation": self.operation,
            "fault": self.fault,
            "upstream": self.upstream,
            "answered": self.answered,
            "error": self.error,
        });
        match std::str::from_utf8(&self.body) {
            Ok(text) => row["body"] = json!(text),
            Err(_) => row["body_hex"] = json!(hex(&self.body)),
        }
        row
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) struct Log {
    start: Instant,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), exchanges: Mutex::default() }
    }

    /// Adds a request that has arrived.
    pub(super) fn arrived(&self, request: &Parts, body: Bytes) -> Exchange {
        let (region, service) = aws::scope(&request.headers).unzip();
        let mut exchanges = self.lock();
        let exchange = Exchange {
            number: exchanges.len(),
            at: self.start.elapsed(),
            method: request.method.to_string(),
            path: request.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            operation: aws::operation(&request.method, &request.uri, &request.headers, &body),
            service,
            region,
            body,
            fault: None,
            upstream: None,
            answered: None,
            error: None,
        };
        exchanges.push(exchange.clone());
        exchange
    }

    /// Writes down what has become of a request.
    pub(super) fn note(&self, number: usize, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.lock().get_mut(number) {
            change(exchange);
        }
    }

    pub(super) fn all(&self) -> Vec<Exchange> {
        self.lock().clone()
    }

    /// Writes one JSON object a line.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for exchange in self.all() {
            writeln!(file, "{}", exchange.to_json())?;
        }
        file.flush()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
