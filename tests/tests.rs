//! One integration-test binary: each file is the tests of one part, named by the property it holds.
mod bad_input;
mod cbf;
mod cli;
mod codec;
mod conformance;
mod cuda;
mod engine;
mod geometry;
mod image;
mod integrate;
mod layering;
mod listing;
mod output;
mod pipeline;
mod simulate;
mod support;
