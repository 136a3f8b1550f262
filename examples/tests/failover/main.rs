//! The operator's binary, run as people run it: one process per command, in a world of files of its own.

mod broken;
mod crashed;
mod input;
mod orders;
mod secrets;
mod story;
mod support;
