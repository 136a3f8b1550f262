//! Starts the AWS emulator and leaves it running until this process ends, for trying things by hand:
//!
//! ```text
//! $ cargo run -p test-support --bin emulator
//! MANTISSA_MR_AWS_ENDPOINT=http://127.0.0.1:23817
//! ```

use std::{process::ExitCode, thread};

use test_support::{ENDPOINT_VARIABLE, Emulator};

fn main() -> ExitCode {
    match Emulator::start() {
        Ok(emulator) => {
            println!("{ENDPOINT_VARIABLE}={}", emulator.endpoint());
            loop {
                thread::park();
            }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
