//! The switches, and what must be known without asking Route 53: objects in a bucket of each region.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::ledger::Epoch;
use mantissa_mr_core::name::Region;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiCall;

/// The format of [`Memo`].
pub(super) const FORMAT: u32 = 1;

/// A bucket in one region.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) client: Client,
    /// As a stranger, such as a health checker, sees it.
    pub(super) anonymous: Client,
    pub(super) region: Region,
    pub(super) name: String,
}

/// What the switch's object says. Its presence alone is what counts for Route 53.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SwitchNote {
    /// The region that takes over: the one that the object is in.
    pub(super) takes_over: Region,
    /// The region that is taken out.
    pub(super) from: Region,
    /// The epoch under which that was decided.
    pub(super) epoch: Epoch,
}

/// What an unplanned shift must know although Route 53's control plane may be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Memo {
    /// The version of this format.
    pub(super) format: u32,
    /// The region whose record is PRIMARY.
    pub(super) primary: Region,
    /// The fingerprint of the records.
    pub(super) records: String,
    /// The health check that each region's record must hang on for the switches to work.
    pub(super) checks: BTreeMap<Region, String>,
    /// How long clients keep an answer, in seconds.
    pub(super) ttl: u64,
    /// The highest epoch under which the routing was changed.
    pub(super) epoch: Epoch,
    /// The last change of the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<String>,
    /// A change of the records that was begun and may have been made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moving_to: Option<Region>,
}

/// An object as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored<T> {
    pub(super) content: T,
    pub(super) etag: String,
}

/// A switch that is on, and what its object says if this library wrote it.
pub(super) type SwitchedOn = Stored<Option<SwitchNote>>;

/// What an object must be like for a write to happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only<'a> {
    /// Not there.
    Absent,
    /// With this ETag.
    Etag(&'a str),
}

impl<'a, T> From<Option<&'a Stored<T>>> for Only<'a> {
    fn from(stored: Option<&'a Stored<T>>) -> Self {
        stored.map_or(Self::Absent, |stored| Self::Etag(&stored.etag))
    }
}

impl Bucket {
    async fn read(&self, call: ApiCall<'_>, key: &str) -> Result<Option<(Vec<u8>, String)>> {
        let answer = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if crate::error::code(&error) == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(explain(call.failed(error))),
        };
        let etag = answer.e_tag.unwrap_or_default();
        let cut = |error| call.error(ErrorKind::Unavailable, format!("the object broke off: {error}"));
        let body = answer.body.collect().await.map_err(cut)?;
        Ok(Some((body.into_bytes().to_vec(), etag)))
    }

    /// Reads an object of this library; none if it is not there.
    pub(super) async fn load<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Stored<T>>> {
        let resource = format!("s3://{}/{key}", self.name);
        let call = ApiCall::read("GetObject", &resource, &self.region);
        let Some((body, etag)) = self.read(call, key).await? else { return Ok(None) };
        let content = serde_json::from_slice(&body).map_err(|error| {
            call.error(ErrorKind::Corrupt, format!("the object is not what this library writes: {error}"))
        })?;
        Ok(Some(Stored { content, etag }))
    }

    /// Reads a switch; none if it is off. One that a person turned on by hand, with whatever content, is on.
    pub(super) async fn switch(&self, key: &str) -> Result<Option<SwitchedOn>> {
        let resource = format!("s3://{}/{key}", self.name);
        let call = ApiCall::read("GetObject", &resource, &self.region);
        let found = self.read(call, key).await?;
        Ok(found.map(|(body, etag)| Stored { content: serde_json::from_slice(&body).ok(), etag }))
    }

    /// Writes an object under a condition, and returns its new ETag.
    pub(super) async fn store<T: Serialize>(&self, key: &str, content: &T, only: Only<'_>) -> Result<String> {
        let resource = format!("s3://{}/{key}", self.name);
        let call = ApiCall::change("PutObject", &resource, &self.region);
        let body = serde_json::to_vec(content)
            .map_err(|error| call.error(ErrorKind::InvalidInput, error.to_string()))?;
        let request = self.client.put_object().bucket(&self.name).key(key).content_type("application/json");
        let request = match only {
            Only::Absent => request.if_none_match("*"),
            Only::Etag(etag) => request.if_match(etag),
        };
        match request.body(ByteStream::from(body)).send().await {
            Ok(answer) => Ok(answer.e_tag.unwrap_or_default()),
            Err(error) => Err(condition(call, error)),
        }
    }

    /// Removes an object if it is still the one that was read.
    pub(super) async fn remove(&self, key: &str, etag: &str) -> Result<()> {
        let resource = format!("s3://{}/{key}", self.name);
        let call = ApiCall::change("DeleteObject", &resource, &self.region);
        let request = self.client.delete_object().bucket(&self.name).key(key).if_match(etag);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if crate::error::status(&error) == Some(404) => Ok(()),
            Err(error) => Err(condition(call, error)),
        }
    }
}

/// A failed condition, however the service puts it, is a conflict: S3 answers `If-Match` on a missing key with 404.
fn condition<E>(call: ApiCall<'_>, error: SdkError<E>) -> Error
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match crate::error::code(&error) {
        Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey") => call
            .error(ErrorKind::Conflict, "somebody changed the object since it was read")
            .with_advice("read the routing again"),
        _ => explain(call.failed(error)),
    }
}

fn explain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => error.with_advice(
            "grant s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket's objects, and s3:ListBucket on the \
             bucket: without it S3 calls a missing object forbidden",
        ),
        _ => error,
    }
}
