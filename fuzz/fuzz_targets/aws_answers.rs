#![no_main]

#[path = "../../mantissa-mr-aws/tests/corpus/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::aws_answers(data));
