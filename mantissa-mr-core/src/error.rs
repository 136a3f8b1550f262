//! The one public error: what failed, on which resource and region, whether it may have taken effect, whether a retry
//! can help, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Region;
use crate::plain::plain;

/// Longer parts of an error are cut where they are shown, in characters.
const MOST: usize = 600;

/// What kind of failure it is; code decides by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request can never succeed as it is: mend the configuration or the flags.
    InvalidInput,
    /// The resource is not there.
    NotFound,
    /// The credentials may not do this, or are missing or expired.
    PermissionDenied,
    /// Somebody else changed the resource since it was read: read it again.
    Conflict,
    /// The service asks to slow down.
    Throttled,
    /// The service cannot be reached or answers with a failure of its own.
    Unavailable,
    /// No answer within the deadline.
    Timeout,
    /// A quota or limit is in the way.
    Quota,
    /// This implementation cannot do this at all; its capabilities say so.
    Unsupported,
    /// What was read contradicts itself or its anchor: nothing may be built on it.
    Corrupt,
    /// A higher term or epoch exists: the caller must stop.
    Superseded,
    /// An answer that the API's documentation does not allow.
    Unexpected,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "invalid input",
            Self::NotFound => "not found",
            Self::PermissionDenied => "permission denied",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Timeout => "no answer in time",
            Self::Quota => "quota exceeded",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Superseded => "superseded",
            Self::Unexpected => "unexpected answer",
        })
    }
}

/// Whether the failed request changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Certainly not: it was refused, or never left.
    None,
    /// It may have, and may yet: observe before acting again.
    Unknown,
}

/// An operation that failed.
///
/// `{}` is one line; `{:#}` adds the causes and the advice, a line each. Lines are safe to print and not too long, whatever
/// a service or a cell held.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    effect: Effect,
    operation: String,
    resource: Option<String>,
    region: Option<Region>,
    message: String,
    advice: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The result of an operation of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind in this operation. The effect is [`Effect::Unknown`] for the kinds that say nothing about
    /// what happened to the request (timeout, unavailable, unexpected) and [`Effect::None`] for the others.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        let effect = match kind {
            ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::Unexpected => Effect::Unknown,
            _ => Effect::None,
        };
        Self(Box::new(Inner {
            kind,
            effect,
            operation: operation.into(),
            resource: None,
            region: None,
            message: message.into(),
            advice: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Says what is known of the request's effect.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// Names the resource.
    #[must_use]
    pub fn on(mut self, resource: impl fmt::Display) -> Self {
        self.0.resource = Some(resource.to_string());
        self
    }

    /// Names the region.
    #[must_use]
    pub fn in_region(mut self, region: &Region) -> Self {
        self.0.region = Some(region.clone());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Says how long the service asked to wait before the next attempt.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the cause. It must hold no secret.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the request changed anything.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The operation that failed.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The resource it failed on.
    pub fn resource(&self) -> Option<&str> {
        self.0.resource.as_deref()
    }

    /// The region it failed in.
    pub fn region(&self) -> Option<&Region> {
        self.0.region.as_ref()
    }

    /// What was said about it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do next.
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// How long the service asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn can_retry(&self) -> bool {
        use ErrorKind::{Conflict, Quota, Throttled, Timeout, Unavailable, Unexpected};
        matches!(self.kind(), Throttled | Unavailable | Timeout | Conflict | Unexpected | Quota)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}", plain(&inner.operation, MOST))?;
        if let Some(resource) = &inner.resource {
            write!(f, " on {}", plain(resource, MOST))?;
        }
        if let Some(region) = &inner.region {
            write!(f, " in {region}")?;
        }
        write!(f, ": {}: {}", inner.kind, plain(&inner.message, MOST))?;
        if inner.effect == Effect::Unknown {
            write!(f, " (it may have taken effect)")?;
        }
        if f.alternate() {
            let mut cause: Option<&(dyn StdError + 'static)> = self.source();
            while let Some(error) = cause {
                write!(f, "\n  because: {}", plain(&error.to_string(), MOST))?;
                cause = error.source();
            }
        }
        match &inner.advice {
            Some(advice) if f.alternate() => write!(f, "\n  next: {}", plain(advice, MOST)),
            Some(advice) => write!(f, "; {}", plain(advice, MOST)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl PartialEq for Error {
    /// Equal in everything but the cause.
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.effect() == other.effect()
            && self.to_string() == other.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_where_whether_it_took_effect_and_what_next() {
        let region = Region::new("us-west-2").unwrap();
        let error = Error::new(ErrorKind::Timeout, "PutFunctionConcurrency", "no answer within 2 s")
            .on("mantissa-detection-engine")
            .in_region(&region)
            .with_advice("look at the function before you try again");
        assert_eq!(
            error.to_string(),
            "PutFunctionConcurrency on mantissa-detection-engine in us-west-2: no answer in time: no answer within \
             2 s (it may have taken effect); look at the function before you try again"
        );
        assert!(error.can_retry());
        let refused = Error::new(ErrorKind::PermissionDenied, "GetItem", "denied");
        assert!(!refused.can_retry() && refused.effect() == Effect::None);
    }

    #[test]
    fn what_a_service_said_makes_no_line_of_its_own_and_is_cut() {
        let bad = format!("\u{1b}[2J\nnext: drop everything {}", "x".repeat(1 << 20));
        let error = Error::new(ErrorKind::Corrupt, "load", &*bad).on(&bad).with_advice(&*bad);
        let error = error.with_source(std::io::Error::other(bad));
        assert_eq!(format!("{error:#}").lines().count(), 3, "{error:#}");
        for said in [format!("{error}"), format!("{error:?}")] {
            assert!(!said.contains('\u{1b}') && said.len() < 3_000, "{} bytes", said.len());
        }
    }

    #[test]
    fn the_long_form_lists_the_causes() {
        let error = Error::new(ErrorKind::Corrupt, "load", "bad").with_source(std::io::Error::other("disk"));
        assert_eq!(format!("{error:#}"), "load: corrupt: bad\n  because: disk");
    }
}
