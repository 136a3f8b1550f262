//! Names: short, printable and safe to use as a key in any cloud's storage.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is no name: it is empty, too long, or has a character outside `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} `{text}` is not a name: use 1 to {MAX_LENGTH} characters out of A-Z a-z 0-9 . _ - (letter or digit first)"
)]
pub struct InvalidName {
    kind: &'static str,
    text: String,
}

/// The longest name, in bytes.
pub const MAX_LENGTH: usize = 96;

fn check(kind: &'static str, text: &str, longest: usize) -> Result<Arc<str>, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if starts_well && text.len() <= longest && text.bytes().all(allowed) {
        Ok(Arc::from(text))
    } else {
        let text = text.chars().take(MAX_LENGTH).flat_map(char::escape_default).collect();
        Err(InvalidName { kind, text })
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and makes a name of it.
            ///
            /// # Errors
            /// [`InvalidName`] if the text is empty, longer than [`MAX_LENGTH`] or has a character that some
            /// cloud's storage would not keep as it is.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                check($kind, text, MAX_LENGTH).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

names! {
    /// A cloud region (`us-east-1`, `eastus`, `us-central1`) or a simulated one.
    Region = "region";
    /// A deployment: all that is described by one set of configuration files.
    DeploymentName = "deployment";
    /// What moves together.
    GroupName = "group";
    /// A store, router, scaler or check of a group.
    ResourceName = "resource";
    /// A place that checks run from.
    VantageName = "vantage";
    /// A thing that fails as one: a region, a cloud, a site. Vantages and the witness each live in one.
    FailureDomain = "failure domain";
    /// A process that may hold a group's lease: a controller, or one run of the command line.
    ActorId = "actor";
    /// One execution of one plan.
    ExecutionId = "execution";
}

/// A step within a plan, such as `promote.state-table`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepId(Arc<str>);

impl StepId {
    /// The step of this kind for these names.
    pub(crate) fn of(kind: &str, names: &[&str]) -> Self {
        let parts: Vec<&str> = std::iter::once(kind).chain(names.iter().copied()).collect();
        Self(Arc::from(parts.join(".")))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StepId {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        check("step", &text, 3 * MAX_LENGTH).map(Self)
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_some_storage_would_change_is_refused_with_its_text() {
        for bad in ["", "-a", "a b", "a/b", "ü", &"x".repeat(MAX_LENGTH + 1)] {
            let error = Region::new(bad).unwrap_err().to_string();
            assert!(error.starts_with("region `"), "{error}");
        }
        for good in ["us-east-1", "promote.state_table", "A", &"x".repeat(MAX_LENGTH)] {
            assert_eq!(Region::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn serde_refuses_what_new_refuses() {
        assert!(serde_json::from_str::<Region>("\"us east\"").is_err());
        assert_eq!(serde_json::to_string(&Region::new("eastus").unwrap()).unwrap(), "\"eastus\"");
    }
}
