//! The operator's binary on AWS: the guide's tfvars and an overlay, an emulator, one process per command.
//!
//! Each test has an account of its own, and a proxy in front of it that writes down every request and can kill the
//! binary at any of them. [`killed`] says which requests it is killed at.

mod account;
mod killed;
mod requests;
mod story;
mod world;
