//! A secret is nowhere but where it was put: not in what is logged (at any level, by any crate), not in errors, not in
//! what `{:?}` prints, not in the ledger, the plans, the journal or the notices.
//!
//! What a person types as a reason is no secret: it is the evidence, and is in all of these.

mod files;
mod log;
mod moves;
