//! What the workspace's tests need and the library must not contain: emulators of clouds, a proxy between
//! the code under test and an emulator that keeps a log and injects faults, and skips that are counted.
//!
//! A plain `cargo test --workspace` on a fresh machine is enough: [`Emulator::start`] installs the AWS
//! emulator into `.emulators/` once, starts it on a free port of 127.0.0.1 and stops it when dropped.
//!
//! ```no_run
//! use test_support::{Action, Emulator, Match, Proxy, or_skip};
//!
//! # fn a_test() {
//! let aws = or_skip!(Emulator::shared());
//! let proxy = Proxy::start(&aws.endpoint()).unwrap();
//!
//! // The second PutItem sent to us-east-1 is applied, but its answer is lost.
//! proxy.when(Match::operation("PutItem").region("us-east-1").nth(2), Action::DropAfter);
//!
//! // ... point the code under test, or another process, at `proxy.endpoint()` ...
//!
//! assert_eq!(proxy.log_of(&Match::operation("PutItem")).len(), 3, "one write and one retried write");
//! # }
//! ```
//!
//! Needs a Unix machine: it sends signals and relies on process groups.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "real processes and real sockets run on the real clock"
)]

mod emulator;
pub mod http;
mod install;
mod paths;
pub mod program;
mod proxy;
mod python;
mod skip;
mod supervised;

pub use emulator::{ControlError, ENDPOINT_VARIABLE, Emulator, StartError};
pub use proxy::{Action, Exchange, Hook, Match, Proxy, ProxyError, RuleId};
pub use python::Missing;
pub use skip::skipped;

/// What the macros expand to; not for use by name.
#[doc(hidden)]
pub use skip::test_name;
