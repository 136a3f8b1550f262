//! Azure backends for `mantissa-mr`: nothing is implemented in this crate yet.
