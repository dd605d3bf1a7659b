//! One integration-test binary: each file is the tests of one part, named by the property it holds.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod advisories;
mod bad_input;
mod bench;
mod bench_record;
mod cbf;
mod cli;
mod codec;
mod config;
mod conformance;
mod cuda;
mod docs;
mod engine;
mod facts;
mod geometry;
mod going_over;
mod hostile;
mod image;
mod integrate;
mod layering;
mod lies;
mod listing;
mod manners;
mod md5;
mod mutated;
mod output;
mod picture;
mod pipeline;
mod plausible;
mod simulate;
mod source;
mod support;
mod tomo_centre;
mod tomo_cli;
mod tomo_reconstruct;
mod tomo_scan;
