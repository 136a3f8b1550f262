#![no_main]

#[path = "../../mantissa-mr-core/tests/corpus/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run("plan", data));
