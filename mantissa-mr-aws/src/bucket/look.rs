//! What S3 says of an object without its content.

use aws_sdk_s3::types::ReplicationStatus;
use mantissa_mr_core::error::{ErrorKind, Result};
use mantissa_mr_core::name::Region;

use super::{S3Bucket, TOKEN};
use crate::error::ApiCall;

/// What was seen under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing was ever there, or it was removed for good.
    Absent,
    /// A delete marker.
    Deleted,
    /// An object.
    There(Head),
}

/// An object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) etag: String,
    /// Who wrote it, if this store did.
    pub(super) token: Option<String>,
    pub(super) replication: Option<Replicated>,
}

/// What S3 says of the replication of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replicated {
    Pending,
    Completed,
    /// For good: it is not tried again.
    Failed,
    /// It is a replica itself.
    Replica,
}

impl From<ReplicationStatus> for Replicated {
    fn from(status: ReplicationStatus) -> Self {
        match status {
            ReplicationStatus::Complete | ReplicationStatus::Completed => Self::Completed,
            ReplicationStatus::Failed => Self::Failed,
            ReplicationStatus::Replica => Self::Replica,
            // A word that is new here is no reason to give an object up.
            _ => Self::Pending,
        }
    }
}

impl S3Bucket {
    /// Looks at what is under a key.
    pub(super) async fn look(&self, region: &Region, key: &str) -> Result<Seen> {
        let (bucket, clients) = self.place(region)?;
        let call = ApiCall::read("HeadObject", bucket, region);
        match clients.s3.head_object().bucket(bucket).key(key).send().await {
            Ok(answer) => Ok(Seen::There(Head {
                etag: etag(call, answer.e_tag())?,
                token: answer.metadata().and_then(|metadata| metadata.get(TOKEN).cloned()),
                replication: answer.replication_status.map(Replicated::from),
            })),
            Err(error) if crate::error::status(&error) == Some(404) => {
                let marker =
                    error.raw_response().and_then(|answer| answer.headers().get("x-amz-delete-marker"));
                Ok(if marker == Some("true") { Seen::Deleted } else { Seen::Absent })
            }
            Err(error) => Err(call.failed(error)),
        }
    }
}

/// An ETag without its quotes.
pub(super) fn etag(call: ApiCall<'_>, etag: Option<&str>) -> Result<String> {
    let etag = etag.map(|etag| etag.trim_matches('"')).filter(|etag| !etag.is_empty());
    etag.map(str::to_owned).ok_or_else(|| call.error(ErrorKind::Unexpected, "the answer has no ETag"))
}
