//! What requests ask for, as the proxy's log has them, in words that are the same in every account.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_smithy_types::base64;
use serde_json::{Value, json};
use test_support::Exchange;

use crate::account::{Account, LEDGER};

/// Operations that begin like this only look.
const LOOKS: [&str; 6] = ["Get", "BatchGet", "Describe", "List", "Query", "Scan"];

/// Whether a request changes something.
pub(crate) fn changes(request: &Exchange) -> bool {
    match request.service.as_deref() {
        Some("dynamodb") => !LOOKS.iter().any(|look| request.operation.starts_with(look)),
        _ => !matches!(request.method.as_str(), "GET" | "HEAD"),
    }
}

/// The cell that a request writes, and its value.
fn cell(request: &Exchange) -> Option<(String, Value)> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    if request.operation != "PutItem" || body["TableName"] != LEDGER {
        return None;
    }
    let value = base64::decode(body["Item"]["value"]["B"].as_str()?).ok()?;
    Some((body["Item"]["pk"]["S"].as_str()?.to_owned(), serde_json::from_slice(&value).ok()?))
}

/// The ledger that a request writes.
fn ledger(request: &Exchange) -> Option<Value> {
    cell(request).filter(|(name, _)| name.ends_with("/ledger")).map(|(_, value)| value)
}

/// Tells signs of life from other changes of the ledger; it must be shown every request, in order.
#[derive(Debug, Default)]
pub(crate) struct Beats(Mutex<(u64, u64)>);

impl Beats {
    /// Whether a request is nothing but a sign of life of who holds the lease: the beat grows, and under the same term. Every
    /// other change carries the beat that was. How many there are is a matter of time.
    pub(crate) fn is_beat(&self, request: &Exchange) -> bool {
        let Some(ledger) = ledger(request) else { return false };
        let number = |name: &str| ledger["lease"][name].as_u64().unwrap_or_default();
        let seen = (number("term"), number("beat"));
        let before = std::mem::replace(&mut *self.0.lock().unwrap(), seen);
        seen.0 == before.0 && seen.1 > before.1
    }
}

/// Whether a request ends a move in the ledger.
pub(crate) fn ends(request: &Exchange) -> bool {
    ledger(request).is_some_and(|ledger| ledger["execution"].is_null() && !ledger["ended"].is_null())
}

/// What was done, by the requests that the cloud answered with success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deeds {
    /// Each change of the cloud, and how often it was made.
    pub(crate) cloud: BTreeMap<String, usize>,
    /// The states that the ledger went through, as far as gates and people care.
    pub(crate) ledger: Vec<Value>,
    /// How often each slot of the journal was written, and each plan.
    pub(crate) evidence: BTreeMap<String, usize>,
}

impl Deeds {
    pub(crate) fn of(log: &[Exchange], account: &Account) -> Self {
        let mut deeds = Self { cloud: BTreeMap::new(), ledger: Vec::new(), evidence: BTreeMap::new() };
        let succeeded = |request: &&Exchange| request.upstream.is_some_and(|status| status < 300);
        for request in log.iter().filter(|request| changes(request)).filter(succeeded) {
            match cell(request) {
                Some((name, value)) if name.ends_with("/ledger") => deeds.saw(&value),
                Some((name, _)) => *deeds.evidence.entry(name).or_default() += 1,
                None => *deeds.cloud.entry(meaning(request, account)).or_default() += 1,
            }
        }
        deeds
    }

    fn saw(&mut self, ledger: &Value) {
        let state = |admission: &Value| match &admission["state"] {
            Value::String(state) => state.clone(),
            _ => "sealed".to_owned(),
        };
        let admissions = ledger["admissions"].as_object().into_iter().flatten();
        let admissions: BTreeMap<&String, String> = admissions
            .map(|(region, admission)| (region, format!("{} at {}", state(admission), admission["epoch"])))
            .collect();
        let seen =
            json!([admissions, ledger["execution"]["kind"], ledger["ended"]["kind"], ledger["generation"]]);
        if self.ledger.last() != Some(&seen) {
            self.ledger.push(seen);
        }
    }
}

/// What a change of the cloud is.
fn meaning(request: &Exchange, account: &Account) -> String {
    let text = request.text();
    let said = match request.service.as_deref() {
        Some("route53") => within(&text, "<Comment>", "</Comment>").unwrap_or(&text).to_owned(),
        Some("s3") => match serde_json::from_slice::<Value>(&request.body) {
            Ok(mut content) => {
                // A memo names things that differ from account to account.
                let memo = content.as_object_mut().into_iter();
                memo.for_each(|memo| {
                    ["checks", "records", "change"].iter().for_each(|key| _ = memo.remove(*key))
                });
                content.to_string()
            }
            Err(_) => text,
        },
        _ => text,
    };
    let region = request.region.as_deref().unwrap_or("?");
    let all = format!("{region} {}: {said}", request.operation);
    all.replace(&account.number, "ACCOUNT").replace(&account.zone, "ZONE")
}

fn within<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}
