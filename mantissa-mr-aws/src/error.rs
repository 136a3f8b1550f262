//! What the SDK's errors mean: which kind, whether the request may have taken effect, and what to do next.
//!
//! Requests are sent once ([`clients`](crate::clients) says which are not), so an error is about one request. Nothing
//! of a request's body and no credential gets into an error: only the operation, the resource, the service's code,
//! message and request id.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy::Error as HttpError;
use mantissa_mr_core::error::{Effect, Error, ErrorKind};
use mantissa_mr_core::name::Region;

/// A service's message longer than this is cut.
const MESSAGE_MAX: usize = 400;

/// One request: what it is, and whether it changes anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiCall<'a> {
    operation: &'static str,
    resource: &'a str,
    region: &'a Region,
    changes: bool,
}

impl<'a> ApiCall<'a> {
    /// A request that only reads: whatever becomes of it, it has no effect.
    pub(crate) fn read(operation: &'static str, resource: &'a str, region: &'a Region) -> Self {
        Self { operation, resource, region, changes: false }
    }

    /// A request that changes something.
    pub(crate) fn change(operation: &'static str, resource: &'a str, region: &'a Region) -> Self {
        Self { operation, resource, region, changes: true }
    }

    /// An error of this call that did not come from the SDK. The request was not sent, or was answered.
    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message)
            .on(self.resource)
            .in_region(self.region)
            .with_effect(Effect::None)
    }

    /// What an error of the SDK means for this call.
    pub(crate) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let meaning = Meaning::of(&error);
        let mut mapped = Error::new(meaning.kind, self.operation, meaning.message)
            .on(self.resource)
            .in_region(self.region)
            .with_effect(if self.changes { meaning.effect } else { Effect::None });
        if let Some(advice) = meaning.advice {
            mapped = mapped.with_advice(advice);
        }
        if let Some(wait) = meaning.retry_after {
            mapped = mapped.with_retry_after(wait);
        }
        mapped
    }
}

/// The service's code for an error that it answered with.
pub(crate) fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    match error {
        SdkError::ServiceError(answer) => answer.err().code(),
        _ => None,
    }
}

/// The HTTP status of an error that the service answered with.
pub(crate) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

struct Meaning {
    kind: ErrorKind,
    effect: Effect,
    message: String,
    advice: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl Meaning {
    fn new(kind: ErrorKind, effect: Effect, message: impl Into<String>) -> Self {
        Self { kind, effect, message: message.into(), advice: None, retry_after: None }
    }

    fn advice(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => Self::of_answer(answer.err().meta(), answer.raw()),
            SdkError::TimeoutError(_) => {
                Self::new(ErrorKind::Timeout, Effect::Unknown, "no answer within the deadline of the call")
            }
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                let message =
                    format!("the answer (HTTP {status}) could not be understood: {}", causes(error));
                Self::new(ErrorKind::Unexpected, Effect::Unknown, message)
            }
            SdkError::ConstructionFailure(_) => Self::of_unsent(error),
            _ if find::<CredentialsError>(error).is_some() => Self::of_unsent(error),
            SdkError::DispatchFailure(_) => Self::of_dispatch(error),
            _ => Self::new(ErrorKind::Unexpected, Effect::Unknown, causes(error)),
        }
    }

    /// The request was never built or never signed.
    fn of_unsent(error: &(dyn StdError + 'static)) -> Self {
        let Some(credentials) = find::<CredentialsError>(error) else {
            return Self::new(ErrorKind::InvalidInput, Effect::None, causes(error));
        };
        let message = format!("no credentials: {}", causes(error));
        match credentials {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                Self::new(ErrorKind::PermissionDenied, Effect::None, message)
                    .advice("see that this process finds credentials (environment, profile, role), and valid ones")
            }
            // The service that gives them out does not answer, or not well: it may later.
            _ => Self::new(ErrorKind::Unavailable, Effect::None, message)
                .advice("see that the service that gives out the credentials (STS, SSO, the metadata service) answers"),
        }
    }

    /// No answer came. A connection that was never made has carried no request.
    fn of_dispatch(error: &(dyn StdError + 'static)) -> Self {
        if find::<HttpError>(error).is_some_and(HttpError::is_connect) {
            let message = format!("no connection: {}", causes(error));
            return Self::new(ErrorKind::Unavailable, Effect::None, message);
        }
        let message = format!("the connection failed before the answer came: {}", causes(error));
        Self::new(ErrorKind::Unavailable, Effect::Unknown, message)
    }

    fn of_answer(answer: &aws_smithy_types::error::ErrorMetadata, raw: &HttpResponse) -> Self {
        let status = raw.status().as_u16();
        let code = answer.code().unwrap_or_default();
        let (kind, advice) = known(code).unwrap_or_else(|| (by_status(status), None));
        let effect = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Unexpected => Effect::Unknown,
            _ => Effect::None,
        };
        let mut message = match code {
            "" if status < 300 => format!("the answer (HTTP {status}) could not be understood"),
            "" => format!("HTTP {status}"),
            code => code.to_owned(),
        };
        if let Some(text) = answer.message() {
            message.push_str(": ");
            message.extend(text.chars().take(MESSAGE_MAX));
        }
        if let Some(id) = answer.extra("aws_request_id") {
            message.push_str(&format!(" (request id {id})"));
        }
        Self { kind, effect, message, advice, retry_after: retry_after(raw) }
    }
}

/// What a service's error code means. Codes that mean different things to different operations are told apart by
/// whoever calls.
fn known(code: &str) -> Option<(ErrorKind, Option<&'static str>)> {
    use ErrorKind::{Conflict, InvalidInput, NotFound, PermissionDenied, Quota, Throttled, Unavailable};
    Some(match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete" => (Throttled, None),
        // DynamoDB and Lambda: too many control-plane operations at a time, or a count that is used up.
        "LimitExceededException" | "TooManyHealthChecks" | "ServiceQuotaExceededException" => (Quota, None),
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
            (PermissionDenied, Some("the credentials of this process lack the permission for this operation"))
        }
        "ExpiredToken" | "ExpiredTokenException" => {
            (PermissionDenied, Some("the credentials have expired: renew them"))
        }
        "RequestTimeTooSkewed" | "RequestExpired" | "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            (PermissionDenied, Some("see that this machine's clock is right, then that the secret key is"))
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "MissingAuthenticationToken" => {
            (PermissionDenied, Some("the service does not know these credentials"))
        }
        "ResourceNotFoundException"
        | "TableNotFoundException"
        | "ReplicaNotFoundException"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "NotFound"
        | "NoSuchHostedZone"
        | "NoSuchHealthCheck"
        | "NoSuchChange" => (NotFound, None),
        "ConditionalCheckFailedException"
        | "TransactionConflictException"
        | "ReplicatedWriteConflictException"
        | "ResourceInUseException"
        | "ResourceConflictException"
        | "PreconditionFailed"
        | "PreconditionFailedException"
        | "ConditionalRequestConflict"
        | "OperationAborted"
        | "InvalidChangeBatch"
        | "HealthCheckVersionMismatch" => (Conflict, None),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            (InvalidInput, Some("the bucket is in another region than the settings say"))
        }
        // A 400 that is no refusal: the service gave up waiting for the request's body.
        "RequestTimeout" | "RequestTimeoutException" => (Unavailable, None),
        _ => return None,
    })
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled,
        501 => ErrorKind::Unsupported,
        400..=499 => ErrorKind::InvalidInput,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

fn retry_after(raw: &HttpResponse) -> Option<Duration> {
    let number = |name: &str| raw.headers().get(name)?.trim().parse::<u64>().ok();
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// The first error of this type in the chain of causes.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The causes in one line, without the SDK's own outermost words. Neither they nor any cause holds a request or an
/// answer: those are only in the SDK's debug form, which is never used.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text: String = error.to_string().chars().take(MESSAGE_MAX).collect();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
