//! mantissa-mr-aws
