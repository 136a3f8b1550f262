//! mantissa-mr-core
