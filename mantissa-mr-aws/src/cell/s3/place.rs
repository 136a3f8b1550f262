//! Where the cells are: the bucket, the prefix, and the object that marks it as the ledger's.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration, ReplicationStatus,
};
use mantissa_mr_core::cell::CellName;
use mantissa_mr_core::error::{Error, ErrorKind, Result};
use mantissa_mr_core::name::Region;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::envelope::LONGEST;
use super::settings::S3CellsSettings;
use crate::error::ApiCall;

mod fitness;

/// The bucket and the prefix of the ledger.
pub(super) struct Place {
    client: Client,
    region: Region,
    bucket: String,
    prefix: String,
    verified: OnceCell<()>,
}

/// An object as read.
pub(super) struct Object {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
}

/// What the object says that marks the place. It names the place, so that a copy of it is told from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Marker {
    /// The version of the format of what is here.
    format: u32,
    region: String,
    bucket: String,
    prefix: String,
}

/// The format of [`Marker`], and of the cells.
const FORMAT: u32 = 1;

impl Place {
    pub(super) fn new(client: Client, region: Region, settings: S3CellsSettings) -> Self {
        let S3CellsSettings { bucket, prefix } = settings;
        Self { client, region, bucket, prefix, verified: OnceCell::new() }
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of a cell's object.
    pub(super) fn key(&self, name: &CellName) -> String {
        format!("{}cells/{name}", self.prefix)
    }

    fn marker_key(&self) -> String {
        format!("{}mantissa-mr.json", self.prefix)
    }

    fn marker(&self) -> Marker {
        let (region, bucket, prefix) = (self.region.to_string(), self.bucket.clone(), self.prefix.clone());
        Marker { format: FORMAT, region, bucket, prefix }
    }

    /// A write of an object, without content and condition yet.
    pub(super) fn put(&self, key: &str) -> PutObjectFluentBuilder {
        self.client.put_object().bucket(&self.bucket).key(key)
    }

    /// Reads an object; none if it was never written.
    ///
    /// # Errors
    /// `Corrupt` for what was deleted, was written by replication, or is longer than a cell can be.
    pub(super) async fn get(&self, call: ApiCall<'_>, key: &str) -> Result<Option<Object>> {
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == "NoSuchKey" => {
                return if is_deleted(&error) { Err(deleted(call)) } else { Ok(None) };
            }
            Err(error) => return Err(explain(call.failed(error))),
        };
        if answer.replication_status() == Some(&ReplicationStatus::Replica) {
            let message = "replication from another bucket wrote this object, without asking for any condition: two \
                           regions could both win a compare-and-swap";
            return Err(call
                .error(ErrorKind::Corrupt, message)
                .with_advice("name a bucket that nothing replicates into: `witness.settings.bucket`"));
        }
        if answer.content_length().is_some_and(|length| usize::try_from(length).is_ok_and(|it| it > LONGEST))
        {
            return Err(call.error(ErrorKind::Corrupt, "the object is longer than what this library writes"));
        }
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let cut = |error| call.error(ErrorKind::Unavailable, format!("the object broke off: {error}"));
        let body = answer.body.collect().await.map_err(cut)?;
        Ok(Some(Object { body: body.into_bytes().to_vec(), etag }))
    }

    /// Looks at the place once in the life of this value, before the first cell is read or written.
    pub(super) async fn verify(&self) -> Result<()> {
        let verified = self.verified.get_or_try_init(|| async {
            if self.is_marked().await? {
                return Ok(());
            }
            let resource = self.resource();
            let call = ApiCall::read("GetObject", &resource, &self.region);
            Err(call
                .error(ErrorKind::NotFound, "nothing marks this as the ledger's place")
                .with_advice("create it with `init`"))
        });
        verified.await.copied()
    }

    /// Whether the marker is there; an error if it is another place's, or no marker.
    async fn is_marked(&self) -> Result<bool> {
        let resource = self.resource();
        let call = ApiCall::read("GetObject", &resource, &self.region);
        let Some(object) = self.get(call, &self.marker_key()).await? else { return Ok(false) };
        match serde_json::from_slice::<Marker>(&object.body) {
            Ok(marker) if marker == self.marker() => Ok(true),
            Ok(Marker { format, region, bucket, prefix }) => {
                let message = if format == FORMAT {
                    format!("this is a copy of the ledger's place s3://{bucket}/{prefix} in {region}")
                } else {
                    format!("the ledger's place has the format {format}, and this version reads {FORMAT}")
                };
                Err(call
                    .error(ErrorKind::InvalidInput, message)
                    .with_advice("name the place itself, or a prefix where nothing is: `witness.settings`"))
            }
            Err(_) => Err(call
                .error(
                    ErrorKind::InvalidInput,
                    format!("{} is not what this library writes", self.marker_key()),
                )
                .with_advice("name a prefix that nothing else uses: `witness.settings.prefix`")),
        }
    }

    fn resource(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }

    /// Makes the place, or looks at it. Returns what was done, or would be.
    pub(super) async fn init(&self, dry_run: bool) -> Result<Vec<String>> {
        let (mut done, mut there) = (Vec::new(), self.bucket_is_there().await?);
        if !there {
            done.push(format!("create the S3 bucket {} in {} for the ledger", self.bucket, self.region));
            if !dry_run {
                self.create_bucket().await?;
                there = true;
            }
        }
        if there {
            self.refuse_public().await?;
            self.refuse_forgetful().await?;
        }
        if there && self.is_marked().await? {
            return Ok(done);
        }
        if there {
            self.refuse_used().await?;
        }
        done.push(format!("mark {} as the ledger's", self.resource()));
        if !dry_run {
            self.mark().await?;
        }
        Ok(done)
    }

    async fn create_bucket(&self) -> Result<()> {
        let call = ApiCall::change("CreateBucket", &self.bucket, &self.region);
        // The one region that must not be named.
        let elsewhere = (self.region.as_str() != "us-east-1").then(|| {
            let constraint = BucketLocationConstraint::from(self.region.as_str());
            CreateBucketConfiguration::builder().location_constraint(constraint).build()
        });
        let request =
            self.client.create_bucket().bucket(&self.bucket).set_create_bucket_configuration(elsewhere);
        match request.send().await {
            Ok(_) => self.block_public_access().await,
            // Somebody else of this account has just created it: it will be looked at as if it had been there.
            Err(error) if code(&error) == "BucketAlreadyOwnedByYou" => Ok(()),
            Err(error) if code(&error) == "BucketAlreadyExists" => Err(call
                .error(ErrorKind::Conflict, "somebody else owns a bucket of this name")
                .with_advice("choose another name: bucket names are shared by all accounts")),
            Err(error) => Err(call.failed(error)),
        }
    }

    /// As a new bucket has it anyway, since April 2023; but the ledger does not hang on a default.
    async fn block_public_access(&self) -> Result<()> {
        let call = ApiCall::change("PutPublicAccessBlock", &self.bucket, &self.region);
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        let request = self.client.put_public_access_block().bucket(&self.bucket);
        let request = request.public_access_block_configuration(block);
        request.send().await.map_err(|error| call.failed(error))?;
        Ok(())
    }

    async fn mark(&self) -> Result<()> {
        let resource = self.resource();
        let call = ApiCall::change("PutObject", &resource, &self.region);
        let marker = serde_json::to_vec(&self.marker())
            .map_err(|error| call.error(ErrorKind::InvalidInput, error.to_string()))?;
        let request = self.put(&self.marker_key()).content_type("application/json").if_none_match("*");
        match request.body(ByteStream::from(marker)).send().await {
            Ok(_) => Ok(()),
            // Somebody else has marked it just now.
            Err(error) if code(&error) == "PreconditionFailed" => self.is_marked().await.map(drop),
            Err(error) => Err(explain(call.failed(error))),
        }
    }
}

/// Whether the newest version of what was asked for is a delete marker.
fn is_deleted<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let headers = error.raw_response().map(HttpResponse::headers);
    headers.and_then(|headers| headers.get("x-amz-delete-marker")) == Some("true")
}

fn deleted(call: ApiCall<'_>) -> Error {
    call.error(ErrorKind::Corrupt, "somebody deleted this object, which nothing of this library does").with_advice(
        "the bucket is versioned: remove the delete marker, which brings the object back, and find out who did it",
    )
}

/// What an error of S3 means for who keeps cells in it.
pub(super) fn explain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied if error.advice().is_none_or(|advice| advice.contains("permission")) => error
            .with_advice(
                "grant s3:GetObject (and s3:PutObject to who writes) on the ledger's objects, and s3:ListBucket on \
                 the bucket: without it S3 calls a missing object forbidden",
            ),
        ErrorKind::NotFound => error.with_advice("create it with `init`"),
        _ => error,
    }
}

/// The service's code of an error, as text.
fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    crate::error::code(error).unwrap_or_default()
}
