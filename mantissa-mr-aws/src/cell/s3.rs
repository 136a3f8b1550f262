//! The ledger's cells in an S3 bucket.
//!
//! One object per cell, `<prefix>cells/<name>`. Its first line holds the cell's name and a stamp: a number that grows with
//! every write, followed by random digits; the value comes after it. So no two writes of a cell have the same content, and
//! none the same ETag, not even one that brings an old value back. A write is one `PutObject`, sent once, with
//! `If-None-Match: *` where the cell must be absent and `If-Match` where it must be as it was read
//! ([AWS: conditional writes](https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html)). A read after an
//! acknowledged write gives that write or a later one
//! ([AWS: consistency](https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel)).
//!
//! What the service answers to a write, and what that means here:
//!
//! | answer | the write |
//! | --- | --- |
//! | 200 | applied |
//! | 412 `PreconditionFailed`, and the object bears another stamp | lost |
//! | 412, and the object bears this write's stamp: something on the way sent it twice | applied |
//! | 404 `NoSuchKey`: the object that it should replace is not there | lost |
//! | 409 `ConditionalRequestConflict`: another request was under way | unknown. AWS says to try again, and not that the cell has changed: called lost, it would be taken for somebody else's win |
//! | a failure of the service, or no answer | unknown |
//! | any other refusal | an error: not applied |
//!
//! # The place
//! `init` makes the bucket, if need be, and an object that marks the prefix as the ledger's (`<prefix>mantissa-mr.json`). Before
//! the first cell is read or written that object is looked at, and what is no place for cells is refused: a bucket of another
//! region, a prefix that something else uses, a copy of a ledger's place. A bucket that replication writes into is none
//! either, because a replica takes the place of an object without any condition: a cell that is a replica is refused.
//!
//! Nothing here deletes an object, and nothing else may: `init` refuses a bucket whose lifecycle rules expire or archive the
//! cells. Every write is a version of its own in a versioned bucket; a rule that expires *noncurrent* versions is welcome
//! there.
//!
//! # Settings
//! `bucket` (its name; a general purpose bucket, best one of its own), `prefix` (`mantissa-mr/` unless said).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use mantissa_mr_core::cell::{
    Cell, CellDurability, CellName, CellStore, Expected, StoreOutcome, check_value,
};
use mantissa_mr_core::error::{Effect, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use tokio::time::{Instant, timeout_at};

use super::version_after;
use crate::error::ApiCall;
use envelope::State;
use place::Place;

mod envelope;
mod place;
mod settings;

pub(crate) use settings::{S3CellsSettings, read};

/// Cells in an S3 bucket of one region.
pub struct S3Cells {
    place: Place,
    deadline: Duration,
}

impl S3Cells {
    /// The client must send each request once, and no request of it may take longer than the deadline.
    pub(crate) fn new(client: Client, region: Region, settings: S3CellsSettings, deadline: Duration) -> Self {
        Self { place: Place::new(client, region, settings), deadline }
    }

    /// Creates the bucket if it is not there, and marks the prefix as the ledger's. Returns what was done, or would be.
    ///
    /// # Errors
    /// `InvalidInput` for a bucket that cannot hold cells: it is in another region, does not block public access, or has
    /// a lifecycle rule that removes them. `Conflict` if something else uses the prefix, or somebody else owns the bucket.
    pub async fn init(&self, dry_run: bool) -> Result<Vec<String>> {
        self.place.init(dry_run).await
    }

    /// Reads a cell, and the stamp of whoever wrote it.
    async fn read(&self, name: &CellName) -> Result<Option<(State, Vec<u8>)>> {
        let call = ApiCall::read("GetObject", name.as_str(), self.place.region());
        let Some(object) = self.place.get(call, &self.place.key(name)).await? else { return Ok(None) };
        let (stamp, value) = envelope::decode(name, &object.body).map_err(|why| {
            call.error(ErrorKind::Corrupt, why)
                .with_advice("nothing but this library may write under the ledger's prefix: find out who did")
        })?;
        let state = State::new(&stamp, &object.etag).ok_or_else(|| {
            call.error(ErrorKind::Unexpected, format!("the object's ETag is `{}`", object.etag))
        })?;
        Ok(Some((state, value)))
    }

    /// What a refusal of the write means for the cell.
    async fn outcome(
        &self,
        name: &CellName,
        stamp: &str,
        until: Instant,
        error: SdkError<PutObjectError, HttpResponse>,
    ) -> Result<StoreOutcome> {
        let call = ApiCall::change("PutObject", name.as_str(), self.place.region());
        match crate::error::code(&error) {
            Some("PreconditionFailed") => return Ok(self.met(name, stamp, until).await),
            Some("NoSuchKey") => return Ok(StoreOutcome::Lost),
            Some("ConditionalRequestConflict" | "OperationAborted") => {
                return Ok(StoreOutcome::Unknown { why: call.failed(error).to_string() });
            }
            _ => {}
        }
        let error = place::explain(call.failed(error));
        match error.effect() {
            Effect::None => Err(error),
            Effect::Unknown => Ok(StoreOutcome::Unknown { why: error.to_string() }),
        }
    }

    /// Looks at what a write met whose condition failed: at itself, or at somebody else's.
    async fn met(&self, name: &CellName, stamp: &str, until: Instant) -> StoreOutcome {
        let why = match timeout_at(until, self.read(name)).await {
            Ok(Ok(Some((state, _)))) if state.stamp() == stamp => {
                return StoreOutcome::Applied { version: state.version() };
            }
            Ok(Ok(_)) => return StoreOutcome::Lost,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within the deadline of the call".to_owned(),
        };
        StoreOutcome::Unknown {
            why: format!("its condition failed, and what it met could not be read: {why}"),
        }
    }
}

#[async_trait]
impl CellStore for S3Cells {
    fn durability(&self) -> CellDurability {
        CellDurability {
            place: format!("S3 bucket {} in {}", self.place.bucket(), self.place.region()),
            survives_region_loss: Some(false),
        }
    }

    async fn load(&self, name: &CellName) -> Result<Option<Cell>> {
        let until = Instant::now() + self.deadline;
        let read = async {
            self.place.verify().await?;
            self.read(name).await
        };
        // The SDK's own deadline ends with the head of the answer.
        let read = timeout_at(until, read).await.unwrap_or_else(|_| {
            let call = ApiCall::read("GetObject", name.as_str(), self.place.region());
            Err(call.error(ErrorKind::Timeout, "no answer within the deadline of the call"))
        });
        Ok(read?.map(|(state, value)| Cell { value, version: state.version() }))
    }

    async fn store(&self, name: &CellName, expected: &Expected, value: &[u8]) -> Result<StoreOutcome> {
        let call = ApiCall::change("PutObject", name.as_str(), self.place.region());
        check_value(name, value)?;
        let until = Instant::now() + self.deadline;
        timeout_at(until, self.place.verify()).await.unwrap_or_else(|_| {
            Err(call.error(ErrorKind::Timeout, "the bucket did not answer within the deadline of the call"))
        })?;
        let stamp = version_after(expected);
        let body = ByteStream::from(envelope::encode(name, &stamp, value));
        let request = self.place.put(&self.place.key(name)).body(body);
        let request = match expected {
            Expected::Absent => request.if_none_match("*"),
            Expected::Version(version) => match State::parse(version) {
                Some(state) => request.if_match(format!("\"{}\"", state.etag())),
                // No cell was ever in this state. It must not be sent either: `*` would fit any.
                None => return Ok(StoreOutcome::Lost),
            },
        };
        match request.send().await {
            Ok(answer) => Ok(match State::new(&stamp, answer.e_tag().unwrap_or_default()) {
                Some(state) => StoreOutcome::Applied { version: state.version() },
                None => StoreOutcome::Unknown { why: "it was accepted without an ETag".to_owned() },
            }),
            Err(error) => self.outcome(name, &stamp, until, error).await,
        }
    }
}

impl fmt::Debug for S3Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Cells")
            .field("bucket", &self.place.bucket())
            .field("region", self.place.region())
            .finish()
    }
}
