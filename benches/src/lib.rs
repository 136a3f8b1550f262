//! The benchmarks are the files of this folder; this library is empty.
